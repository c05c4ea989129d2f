//! Which rules are told of to whoever asks why something was refused.

use serde_json::json;

use super::*;

fn named(policy: &RulePolicy, question: Question<'_>) -> Vec<String> {
    policy.nearest(&question).into_iter().map(|missing| missing.rule).collect()
}

#[test]
fn rules_that_miss_less_come_first_and_those_that_miss_the_same_in_their_order() {
    let policy = rules(&[
        "id: elsewhere-with-another, identity: {token: ci}, repositories: [z.y/**], keys: [other]",
        "id: elsewhere, identity: {token: ci}, repositories: [z.y/**]",
        "id: others, identity: {token: cd}",
        "id: annotated, identity: {token: ci}, annotations: {build: '*'}",
    ]);
    let ci = token("ci");
    assert_eq!(named(&policy, sign(&ci)), ["annotated", "elsewhere", "others"]);
    let missing = policy.nearest(&sign(&ci));
    for (place, words) in [(0, "build"), (1, "z.y/**"), (2, "cd")] {
        assert!(missing[place].condition.contains(words), "{missing:?}");
    }
}

#[test]
fn at_most_three_are_told_of() {
    let policy = rules(
        &["a", "b", "c", "d", "e"]
            .map(|id| format!("id: {id}, identity: {{token: x{id}}}"))
            .each_ref()
            .map(String::as_str),
    );
    assert_eq!(named(&policy, sign(&token("ci"))), ["a", "b", "c"]);
}

#[test]
fn rules_about_others_that_deny_or_that_only_look_on_are_left_out() {
    let policy = rules(&[
        "id: of-another-issuer, identity: {issuer: cluster, claims: {a: b}}",
        "id: of-a-token, identity: {token: ci}",
        "id: denies, effect: deny, identity: {issuer: gitlab, claims: {a: z}}",
        "id: looks-on, mode: observe, identity: {issuer: gitlab, claims: {a: z}}",
        "id: would, identity: {issuer: gitlab, claims: {a: b}}",
    ]);
    let job = job(json!({"a": "c"}));
    let found = policy.nearest(&sign(&job));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].rule, "would");
    assert!(found[0].condition.contains('c') && found[0].condition.contains('b'), "{found:?}");
}

#[test]
fn a_rule_that_misses_nearly_everything_speaks_of_something_else() {
    let policy = rules(&[
        "id: far, identity: {token: cd}, repositories: [z.y/**], keys: [other]",
        "id: farther, identity: {token: cd}, operations: [verify], repositories: [z.y/**], keys: [other]",
    ]);
    assert_eq!(named(&policy, sign(&token("ci"))), [] as [String; 0]);
}

#[test]
fn what_is_allowed_misses_nothing_of_the_rule_that_allows_it() {
    let policy = rules(&["id: a, identity: {token: ci}", "id: b, identity: {token: cd}"]);
    assert_eq!(named(&policy, sign(&token("ci"))), ["b"]);
}
