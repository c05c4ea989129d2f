//! What may be read of the log.

use proptest::prelude::*;

use super::{Operation, Policy as _, Question, Repository, RulePolicy, Timestamp, job, rules, token};
use crate::domain::Principal;
use crate::ports::Decision;
use serde_json::json;

/// Rules about `log.read` in flow style. They allow, and are for the token `ci`, where they do not say something else.
fn readers(texts: &[&str]) -> RulePolicy {
    let rule = |text: &&str| {
        let mut text = format!("{text}, operations: [log.read]");
        for (key, default) in [("effect", "allow"), ("identity", "{token: ci}")] {
            if !text.contains(&format!("{key}:")) {
                text.push_str(&format!(", {key}: {default}"));
            }
        }
        format!("  - {{{text}}}\n")
    };
    let list: String = texts.iter().map(rule).collect();
    RulePolicy::parse(format!("version: 1\nrules:\n{list}").as_bytes()).unwrap()
}

fn reading(principal: &Principal) -> Question<'_> {
    Question::new(principal, Operation::LogRead, Timestamp::UNIX_EPOCH)
}

/// Repositories that rules of these tests tell apart, and none.
const SUBJECTS: [Option<&str>; 5] =
    [Some("x.y/team/app"), Some("x.y/team/secret/app"), Some("x.y/app"), Some("z.y/app"), None];

/// Which of [`SUBJECTS`] is within reach, as far as everything that can be asked agrees.
fn seen_by(policy: &RulePolicy, principal: &Principal) -> (Decision, Vec<Option<&'static str>>) {
    let (decision, reach) = policy.reach(&reading(principal));
    let seen: Vec<_> = SUBJECTS
        .into_iter()
        .filter(|name| {
            let repository: Option<Repository> = name.map(|name| name.parse().unwrap());
            let sees = reach.sees(repository.as_ref());
            let question = Question { repository: repository.as_ref(), ..reading(principal) };
            let expected = if repository.is_some() { sees } else { reach.is_whole() };
            let explained = policy.explain(&question);
            assert_eq!(explained.decision.allowed, expected, "{name:?} {reach:?} {:?}", explained.rules);
            assert_eq!(policy.decide(&question), explained.decision);
            sees
        })
        .collect();
    assert!(decision.allowed || seen.is_empty(), "{reach:?}");
    assert_eq!(reach.is_whole(), seen.len() == SUBJECTS.len(), "{reach:?}");
    (decision, seen)
}

/// What the token `ci` sees, and which rule says so.
fn seen(texts: &[&str]) -> (Vec<Option<&'static str>>, bool, Option<String>) {
    let (decision, seen) = seen_by(&readers(texts), &token("ci"));
    (seen, decision.allowed, decision.ruling.rule)
}

const TEAM: &str = "id: team, repositories: [x.y/team/**]";
const APP: &str = "id: app, repositories: [x.y/app]";
const WHOLE: &str = "id: whole";
const SECRET: &str = "id: secret, effect: deny, repositories: [x.y/team/secret/**]";
const NOBODY: &str = "id: nobody, effect: deny";

#[test]
fn a_rule_with_repositories_shows_these_and_one_without_shows_the_whole_log() {
    let [app, secret, other, elsewhere, none] = SUBJECTS;
    for (texts, expected, rule) in [
        (&[TEAM][..], vec![app, secret], "team"),
        (&[WHOLE], SUBJECTS.to_vec(), "whole"),
        (&[TEAM, APP], vec![app, secret, other], "team"),
        // What shows all decides, wherever it stands.
        (&[TEAM, WHOLE], SUBJECTS.to_vec(), "whole"),
        (&[TEAM, SECRET, APP], vec![app, other], "team"),
        (&[SECRET, WHOLE], vec![app, other, elsewhere, none], "whole"),
    ] {
        let found = seen(texts);
        assert_eq!(found, (expected, true, Some(rule.to_owned())), "{texts:?}");
    }
    let (decision, of_another) = seen_by(&readers(&[TEAM, WHOLE]), &token("cd"));
    assert_eq!((decision.allowed, decision.ruling.rule, of_another), (false, None, Vec::new()));
}

#[test]
fn where_nothing_is_left_to_be_seen_reading_is_denied_by_the_rule_that_hides_it() {
    let denied = |texts: &[&str]| {
        let (seen, allowed, rule) = seen(texts);
        assert!(seen.is_empty() && !allowed, "{texts:?}: {seen:?}");
        rule
    };
    assert_eq!(denied(&[WHOLE, TEAM, NOBODY]).as_deref(), Some("nobody"));
    assert_eq!(denied(&[TEAM, "id: all, effect: deny, repositories: ['**']"]).as_deref(), Some("all"));
    assert_eq!(
        denied(&[TEAM, "id: team-2, effect: deny, repositories: [x.y/team/**]"]).as_deref(),
        Some("team-2")
    );
    assert_eq!(denied(&[SECRET]), None, "nothing was shown that it could hide");
    assert_eq!(denied(&["id: other, identity: {token: other}"]), None);
}

#[test]
fn a_condition_that_can_not_be_told_without_a_repository_shows_nothing_and_hides_everything_that_its_rule_names()
 {
    let [app, secret, other, elsewhere, none] = SUBJECTS;
    for condition in [
        "request.repository == 'x.y/team/app'",
        "!has(request.repository) || request.repository.startsWith('x.y/')",
        "request['host'] == 'x.y'",
        "has(request.digest)",
        "!('repository' in request)",
        "request[principal] == 'x'",
        "request == {}",
        "1 / 0 == 1",
        "claims.missing == 1",
    ] {
        let with = |rule: &str| format!("{rule}, condition: \"{condition}\"");
        assert_eq!(seen(&[&with(WHOLE)]).0, [], "{condition}");
        assert_eq!(seen(&[&with(TEAM)]).0, [], "{condition}");
        assert_eq!(seen(&[WHOLE, &with(SECRET)]).0, [app, other, elsewhere, none], "{condition}");
        assert_eq!(seen(&[WHOLE, &with(NOBODY)]).0, [], "{condition}");
    }
    for (condition, holds) in [
        ("principal == 'token:ci' && request.operation == 'log.read'", true),
        ("request.time < timestamp('2026-01-01T00:00:00Z') && request['annotations'] == {}", true),
        ("request.operation == 'sign'", false),
    ] {
        let with = |rule: &str| format!("{rule}, condition: \"{condition}\"");
        assert_eq!(seen(&[&with(TEAM)]).0, if holds { vec![app, secret] } else { vec![] }, "{condition}");
        let left = seen(&[TEAM, &with(SECRET)]).0;
        assert_eq!(left, if holds { vec![app] } else { vec![app, secret] }, "{condition}");
    }
}

#[test]
fn a_rule_that_is_not_valid_or_of_other_claims_shows_and_hides_nothing() {
    let [app, secret, ..] = SUBJECTS;
    let over = "valid_until: 1960-01-01T00:00:00Z";
    assert_eq!(seen(&[&format!("{WHOLE}, {over}")]).0, []);
    assert_eq!(seen(&[TEAM, &format!("{SECRET}, {over}")]).0, [app, secret]);
    let policy = readers(&[
        "id: seniors, identity: {issuer: gitlab, claims: {level: '7'}}, repositories: [x.y/team/**]",
        "id: all, identity: {issuer: gitlab, claims: {level: ['7', '8']}, globs: {team: 'a*'}}, repositories: [x.y/team/app]",
    ]);
    let (decision, seen) = seen_by(&policy, &job(json!({"level": 7, "team": "ab"})));
    assert_eq!(seen, [app, secret]);
    assert_eq!(*decision.ruling.claims, [("level".to_owned(), json!(7))].into());
    assert_eq!(seen_by(&policy, &job(json!({"level": 8, "team": "ab"}))).1, [app]);
}

#[test]
fn observing_rules_show_and_hide_nothing_and_are_named_where_they_would() {
    let observed = |texts: &[&str]| {
        let (decision, seen) = seen_by(&readers(texts), &token("ci"));
        (seen, decision.observed)
    };
    let [app, secret, ..] = SUBJECTS;
    let watch = |rule: &str| format!("{rule}, mode: observe");
    let named = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        observed(&[TEAM, &watch(SECRET), &watch(WHOLE)]),
        (vec![app, secret], named(&["secret", "whole"]))
    );
    assert_eq!(observed(&[WHOLE, &watch(TEAM)]), (SUBJECTS.to_vec(), named(&[])), "all is shown already");
    assert_eq!(observed(&[&watch(TEAM), &watch(SECRET)]), (vec![], named(&["team"])));
    assert_eq!(observed(&[TEAM, NOBODY, &watch(WHOLE)]), (vec![], named(&[])));
}

#[test]
fn an_explanation_about_the_whole_log_says_that_a_rule_wants_repositories() {
    let policy = readers(&[TEAM, SECRET]);
    let ci = token("ci");
    let explained = policy.explain(&reading(&ci));
    assert!(!explained.decision.allowed);
    assert_eq!(
        explained.rules[0].failed.as_deref(),
        Some("repositories: this is about the whole log, the rule wants what fits \"x.y/team/**\"")
    );
    let repository: Repository = "x.y/app".parse().unwrap();
    let explained = policy.explain(&Question { repository: Some(&repository), ..reading(&ci) });
    assert_eq!(
        explained.rules[0].failed.as_deref(),
        Some("repositories: the image's is \"x.y/app\", the rule wants what fits \"x.y/team/**\"")
    );
    let conditional = readers(&[&format!("{WHOLE}, condition: request.host == 'x.y'")]);
    let failed = conditional.explain(&reading(&ci)).rules[0].failed.clone().unwrap();
    assert!(failed.contains("can not be told") && failed.contains("name `repositories`"), "{failed}");
}

#[test]
fn other_operations_of_the_same_rule_are_decided_as_ever() {
    let policy = rules(&["id: a, identity: {token: ci}, operations: [sign, log.read]"]);
    let ci = token("ci");
    let repository: Repository = "x.y/app".parse().unwrap();
    let sign = Question { repository: Some(&repository), operation: Operation::Sign, ..reading(&ci) };
    assert!(policy.decide(&sign).allowed);
    assert!(!policy.decide(&reading(&ci)).allowed, "not the whole log");
    assert!(policy.reach(&reading(&ci)).1.sees(Some(&repository)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_within_reach_is_what_reading_about_it_is_allowed(rules in proptest::collection::vec(rule(), 1..7)) {
        let texts: Vec<_> = rules.iter().enumerate().map(|(place, rule)| format!("id: r{place}, {rule}")).collect();
        seen_by(&readers(&texts.iter().map(String::as_str).collect::<Vec<_>>()), &token("ci"));
    }
}

fn rule() -> impl Strategy<Value = String> {
    let effect = proptest::sample::select(vec!["allow", "allow", "deny"]);
    let mode = proptest::sample::select(vec!["enforce", "enforce", "observe"]);
    let rest = proptest::sample::select(vec![
        "description: x",
        "repositories: [x.y/team/**]",
        "repositories: [x.y/team/secret/*, z.y/app]",
        "repositories: ['**']",
        "repositories: [x.y/app, '*/team/app'], condition: request.host == 'x.y'",
        "repositories: [x.y/*], condition: principal == 'token:ci'",
        "condition: has(request.repository)",
        "identity: {token: other}",
    ]);
    (effect, mode, rest).prop_map(|(effect, mode, rest)| format!("effect: {effect}, mode: {mode}, {rest}"))
}
