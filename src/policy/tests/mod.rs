//! What rules decide.

mod basics;
mod index;
mod nearest;
mod reach;
mod reading;
mod reloading;
mod warning;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::*;
use crate::domain::{
    Annotations, Certificate, Format, KeyName, Operation, Principal, Repository, Timestamp, Workload,
};
use crate::ports::RuleLimits;

/// A job of the issuer `gitlab` with these claims.
fn job(claims: Value) -> Principal {
    workload("gitlab", claims)
}

fn workload(issuer: &str, claims: Value) -> Principal {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    Principal::Workload(Arc::new(Workload {
        issuer: issuer.to_owned(),
        name: "job".to_owned(),
        claims,
        token: Digest::of(b"token"),
        expires: Timestamp::MAX,
    }))
}

fn token(name: &str) -> Principal {
    Principal::Token { name: name.to_owned() }
}

/// A policy of rules in flow style, each allowing everything of `x.y` with the key `k` where it does not say something else.
fn rules(rules: &[&str]) -> RulePolicy {
    parse_rules(rules).unwrap()
}

fn parse_rules(rules: &[&str]) -> Result<RulePolicy, String> {
    let rule = |text: &&str| {
        let mut text = (*text).to_owned();
        for (key, default) in [("effect", "allow"), ("repositories", "[x.y/**]"), ("keys", "[k]")] {
            if !text.contains(&format!("{key}:")) {
                text.push_str(&format!(", {key}: {default}"));
            }
        }
        format!("  - {{{text}}}\n")
    };
    let list: String = rules.iter().map(rule).collect();
    let list = if list.is_empty() { "rules: []".to_owned() } else { format!("rules:\n{list}") };
    RulePolicy::parse(format!("version: 1\n{list}").as_bytes())
}

/// Signing `x.y/app` with `k`.
fn sign(principal: &Principal) -> Question<'_> {
    static APP: LazyLock<Repository> = LazyLock::new(|| "x.y/app".parse().unwrap());
    static KEY: LazyLock<KeyName> = LazyLock::new(|| "k".parse().unwrap());
    let now = "2026-06-01T12:00:00Z".parse().unwrap();
    Question { repository: Some(&APP), key: Some(&KEY), ..Question::new(principal, Operation::Sign, now) }
}

fn allowed(policy: &RulePolicy, question: Question<'_>) -> bool {
    policy.decide(&question).allowed
}

#[test]
fn an_issuers_claims_decide_exactly_by_globs_and_nested() {
    let policy = rules(&[
        r#"id: a, identity: {issuer: gitlab, claims: {project_id: "4711", pipeline_source: [push, web]}, globs: {ref_path: "refs/tags/v*"}}"#,
        "id: b, identity: {issuer: cluster, claims: {kubernetes.io: {namespace: ci}}}",
    ]);
    let with = |changed: Value| {
        let mut claims = json!({"project_id": 4711, "pipeline_source": "push", "ref_path": "refs/tags/v1"});
        claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        allowed(&policy, sign(&job(claims)))
    };
    assert!(with(json!({})) && with(json!({"pipeline_source": "web", "other": [1]})));
    for changed in [
        json!({"project_id": 47110}),
        json!({"project_id": null}),
        json!({"pipeline_source": "merge_request_event"}),
        json!({"ref_path": "refs/tags/v1/x"}),
        json!({"ref_path": "refs/heads/v1"}),
    ] {
        assert!(!with(changed.clone()), "{changed}");
    }
    let nested = json!({"kubernetes.io": {"namespace": "ci"}});
    assert!(allowed(&policy, sign(&workload("cluster", nested.clone()))));
    assert!(!allowed(&policy, sign(&workload("gitlab", nested))), "of another issuer");
    let elsewhere = json!({"kubernetes.io": {"namespace": "other"}, "namespace": "ci"});
    assert!(!allowed(&policy, sign(&workload("cluster", elsewhere))));
    assert!(!allowed(&policy, sign(&token("gitlab"))), "a token with the issuer's name");
}

#[test]
fn certificates_are_matched_by_what_they_say_and_an_identity_can_be_one_of_several() {
    let policy = rules(&[
        r#"id: a, identity: [{token: [ci, cd]}, {certificate: {dns_names: build.example.com}}, {certificate: {}, globs: {spiffe_id: "spiffe://x.y/ci/*"}}]"#,
    ]);
    let certificate = |claims: Value| {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        Principal::Certificate(Arc::new(Certificate { name: "c".to_owned(), claims }))
    };
    for (principal, expected) in [
        (token("cd"), true),
        (token("other"), false),
        (certificate(json!({"dns_names": ["a.example.com", "build.example.com"]})), true),
        (certificate(json!({"common_name": "build.example.com"})), false),
        (certificate(json!({"spiffe_id": "spiffe://x.y/ci/app"})), true),
        (certificate(json!({"spiffe_id": "spiffe://x.y/ci/app/x"})), false),
        (workload("gitlab", json!({"dns_names": "build.example.com"})), false),
    ] {
        assert_eq!(allowed(&policy, sign(&principal)), expected, "{principal:?}");
    }
}

#[test]
fn a_format_that_is_left_open_is_allowed_where_some_format_is() {
    let policy = rules(&[
        "id: yes, identity: {token: ci}",
        "id: no-bundles, effect: deny, identity: {token: ci}, formats: [bundle]",
    ]);
    let ci = token("ci");
    let with = |format| policy.decide(&Question { format, ..sign(&ci) });
    assert_eq!((with(None).allowed, with(None).ruling.rule.as_deref()), (true, Some("yes")));
    assert!(with(Some(Format::Cosign)).allowed);
    let denied = with(Some(Format::Bundle));
    assert_eq!((denied.allowed, denied.ruling.rule.as_deref()), (false, Some("no-bundles")));
    let both = rules(&[
        "id: yes, identity: {token: ci}, formats: [cosign]",
        "id: no, effect: deny, identity: {token: ci}, formats: [cosign]",
    ]);
    let denied = both.decide(&sign(&ci));
    assert_eq!((denied.allowed, denied.ruling.rule.as_deref()), (false, Some("no")));
    let blob = Question { operation: Operation::Blob, repository: None, ..sign(&ci) };
    let files = rules(&["id: a, identity: {token: ci}, operations: [blob], formats: [cosign]"]);
    assert!(allowed(&files, Question { format: Some(Format::Bundle), ..blob }), "files know no formats");
}

#[test]
fn a_key_that_is_left_open_is_allowed_where_some_key_is() {
    let policy = rules(&[
        "id: yes, identity: {token: ci}, keys: [k, l]",
        "id: no, effect: deny, identity: {token: ci}, keys: [k]",
    ]);
    let ci = token("ci");
    assert!(allowed(&policy, Question { key: None, ..sign(&ci) }));
    assert!(!allowed(&policy, sign(&ci)));
    let none = rules(&["id: yes, identity: {token: ci}", "id: no, effect: deny, identity: {token: ci}"]);
    assert!(!allowed(&none, Question { key: None, ..sign(&ci) }));
}

#[test]
fn required_annotations_must_be_there_with_a_value_that_fits() {
    let policy = rules(&[
        r#"id: a, identity: {token: ci}, annotations: {team: payments, stage: [test, prod], ref: {glob: "refs/tags/*"}}"#,
    ]);
    let ci = token("ci");
    let with = |changed: &[(&str, &str)]| {
        let right = [("team", "payments"), ("stage", "prod"), ("ref", "refs/tags/v1")];
        let all = right.iter().chain(changed).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let all = Annotations::new(BTreeMap::from_iter(all)).unwrap();
        allowed(&policy, Question { annotations: Some(&all), ..sign(&ci) })
    };
    assert!(with(&[]) && with(&[("more", "x"), ("stage", "test")]));
    for wrong in [("team", "other"), ("stage", "dev"), ("ref", "refs/tags/v1/x")] {
        assert!(!with(&[wrong]), "{wrong:?}");
    }
    assert!(!allowed(&policy, sign(&ci)));
}

#[test]
fn attestations_are_allowed_by_their_types() {
    let policy = rules(&[
        r#"id: a, identity: {token: ci}, operations: [attest, verify], predicate_types: [spdx, "https://slsa.dev/provenance/*"]"#,
    ]);
    let ci = token("ci");
    let attest = |predicate_type| {
        allowed(&policy, Question { operation: Operation::Attest, predicate_type, ..sign(&ci) })
    };
    assert!(attest(Some("https://spdx.dev/Document")) && attest(Some("https://slsa.dev/provenance/v1")));
    assert!(!attest(Some("https://cyclonedx.org/bom")) && !attest(Some("https://slsa.dev/provenance/v1/x")));
    assert!(attest(None), "some type would be allowed");
    assert!(allowed(&policy, Question { operation: Operation::Verify, ..sign(&ci) }));
}

#[test]
fn a_rule_is_valid_from_its_first_moment_until_before_its_last() {
    let policy = rules(&[
        "id: a, identity: {token: ci}, valid_from: 2026-01-01T00:00:00Z, valid_until: '2026-02-01T00:00:00+01:00'",
    ]);
    let ci = token("ci");
    for (now, expected) in [
        ("2025-12-31T23:59:59.999Z", false),
        ("2026-01-01T00:00:00Z", true),
        ("2026-01-31T22:59:59Z", true),
        ("2026-01-31T23:00:00Z", false),
    ] {
        assert_eq!(allowed(&policy, Question { now: now.parse().unwrap(), ..sign(&ci) }), expected, "{now}");
    }
}

#[test]
fn a_condition_sees_claims_request_and_principal() {
    let claims = json!({"project_id": "4711", "groups": ["a", "b"], "kubernetes.io": {"namespace": "ci"}, "n": 7, "yes": true});
    let caller = job(claims);
    for condition in [
        "claims.project_id == '4711' && claims.n > 6 && claims.yes",
        "'b' in claims.groups && claims.groups.exists(g, g.startsWith('a'))",
        "claims['kubernetes.io'].namespace == 'ci'",
        "request.operation == 'sign' && request.repository == 'x.y/app' && request.host == 'x.y'",
        "request.key == 'k' && request.format in ['cosign', 'bundle']",
        "!has(request.predicate_type) && !has(request.digest) && request.annotations == {}",
        "request.time.getHours('Europe/Berlin') == 14 && request.time < timestamp('2027-01-01T00:00:00Z')",
        "principal == 'oidc:gitlab:job'",
        "request.repository.endsWith('/' + 'app') && request.repository.matches('^x[.]y/[a-z]+$')",
    ] {
        let policy = rules(&[&format!("id: a, identity: {{issuer: gitlab}}, condition: \"{condition}\"")]);
        let explanation = policy.explain(&sign(&caller));
        assert!(explanation.decision.allowed, "{condition}: {:?}", explanation.rules);
    }
}

#[test]
fn what_can_not_be_told_opens_no_door() {
    let caller = job(json!({"n": "x"}));
    for condition in ["claims.missing == 1", "claims.n > 1", "claims.n", "1 / 0 == 1", "claims.n[7] == 'x'"] {
        let rule = |effect: &str| {
            format!(
                "id: {effect}, effect: {effect}, identity: {{issuer: gitlab}}, condition: \"{condition}\""
            )
        };
        assert!(!allowed(&rules(&[&rule("allow")]), sign(&caller)), "{condition}");
        let decision = rules(&["id: all, identity: {issuer: gitlab}", &rule("deny")]).decide(&sign(&caller));
        assert_eq!((decision.allowed, decision.ruling.rule.as_deref()), (false, Some("deny")), "{condition}");
    }
    let guarded = "id: a, identity: {issuer: gitlab}, condition: has(claims.x) && claims.x == 1 || true";
    assert!(allowed(&rules(&[guarded]), sign(&caller)));
}

#[test]
fn observing_rules_decide_nothing_and_are_named_where_they_would_have() {
    let ci = token("ci");
    let decide = |texts: &[&str]| {
        let decision = rules(texts).decide(&sign(&ci));
        (decision.allowed, decision.ruling.rule, decision.observed)
    };
    let (yes, no) = ("id: yes, identity: {token: ci}", "id: no, effect: deny, identity: {token: ci}");
    let watch_yes = "id: watch-yes, mode: observe, identity: {token: ci}";
    let watch_no = "id: watch-no, mode: observe, effect: deny, identity: {token: ci}";
    let watch_other = "id: watch-other, mode: observe, effect: deny, identity: {token: other}";
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(
        decide(&[yes, watch_no, watch_yes, watch_other]),
        (true, some("yes"), vec!["watch-no".to_owned()])
    );
    assert_eq!(decide(&[watch_yes, watch_no]), (false, None, vec!["watch-yes".to_owned()]));
    assert_eq!(decide(&[no, watch_yes, watch_no]), (false, some("no"), Vec::new()));
    assert_eq!(decide(&[watch_yes, yes]), (true, some("yes"), Vec::new()));
    // Where one format is observed to be denied, the other would still be there.
    assert_eq!(decide(&[yes, &format!("{watch_no}, formats: [cosign]")]), (true, some("yes"), Vec::new()));
}

#[test]
fn the_first_rule_of_the_file_decides_among_equals_and_gives_its_limits() {
    let ci = token("ci");
    let policy = rules(&[
        "id: first, identity: {token: ci}, limits: {per_hour: 30, per_token: 5}",
        "id: second, identity: {token: ci}",
    ]);
    let decision = policy.decide(&sign(&ci));
    assert_eq!(decision.ruling.rule.as_deref(), Some("first"));
    let limits = decision.limits;
    assert_eq!((limits.per_hour.unwrap().get(), limits.per_token.unwrap().get()), (30, 5));
    let other = "l".parse().unwrap();
    let denied = policy.decide(&Question { key: Some(&other), ..sign(&ci) });
    assert_eq!(denied.limits, RuleLimits::default());
}

#[test]
fn the_log_gets_the_claims_that_were_looked_at_and_no_more_of_them_than_it_can_hold() {
    let rule = r#"id: a, identity: {issuer: gitlab, claims: {project_id: "1", io: {k: v}}, globs: {ref: "**"}}, condition: "claims.long != '' && claims['a.b'] == 1""#;
    let claims = json!({"project_id": 1, "io": {"k": "v", "secret": "s"}, "ref": ["r"], "long": "é".repeat(1000), "a.b": 1, "other": "o"});
    let matched = rules(&[rule]).decide(&sign(&job(claims))).ruling.claims;
    let names: Vec<_> = matched.keys().map(String::as_str).collect();
    assert_eq!(names, ["a.b", "io.k", "long", "project_id", "ref"]);
    assert_eq!(
        (&matched["project_id"], &matched["ref"], &matched["io.k"]),
        (&json!(1), &json!(["r"]), &json!("v"))
    );
    let long = matched["long"].as_str().unwrap();
    assert!(long.ends_with('…') && matched["long"].to_string().len() <= 256, "{long}");

    let many: Map<_, _> = (0..100).map(|n| (format!("claim{n:02}"), json!("v".repeat(100)))).collect();
    let wanted: Vec<_> = many.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let rule = format!("id: a, identity: {{issuer: gitlab, claims: {{{}}}}}", wanted.join(", "));
    let matched = rules(&[&rule]).decide(&sign(&job(Value::Object(many)))).ruling.claims;
    let size: usize = matched.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
    assert!((3900..=4096).contains(&size), "{size}");
}

#[test]
fn each_rule_that_does_not_match_says_the_first_condition_that_fails_with_what_was_found() {
    let policy = rules(&[
        r#"id: protected, identity: {issuer: gitlab, claims: {ref_protected: "true"}}"#,
        "id: token, identity: {token: ci}",
        "id: issuer, identity: {issuer: other}",
        "id: elsewhere, identity: {issuer: gitlab}, repositories: [x.y/other/*]",
        "id: key, identity: {issuer: gitlab}, keys: [l, m]",
        "id: operation, identity: {issuer: gitlab}, operations: [attest]",
        "id: format, identity: {issuer: gitlab}, formats: [bundle]",
        "id: annotation, identity: {issuer: gitlab}, annotations: {team: [a, b]}",
        "id: later, identity: {issuer: gitlab}, valid_from: 2026-07-01T00:00:00Z",
        "id: over, identity: {issuer: gitlab}, valid_until: 2026-05-01T00:00:00Z",
        "id: untrue, identity: {issuer: gitlab}, condition: claims.ref_protected == 'true'",
        "id: untold, identity: {issuer: gitlab}, condition: claims.missing == 1",
        "id: glob, identity: {issuer: gitlab, globs: {ref_path: 'refs/tags/*'}}",
        "id: fits, identity: {issuer: gitlab}",
    ]);
    let caller = job(json!({"ref_protected": "false"}));
    let explanation = policy.explain(&Question { format: Some(Format::Cosign), ..sign(&caller) });
    let failed = |id: &str| explanation.rules.iter().find(|rule| rule.id == id).unwrap().failed.as_deref();
    for (id, expected) in [
        ("protected", r#"identity.claims.ref_protected: the token says "false", the rule wants "true""#),
        ("token", "identity.token: the caller has an issuer's token"),
        ("issuer", r#"identity.issuer: the token's issuer is "gitlab", the rule wants "other""#),
        ("elsewhere", r#"repositories: the image's is "x.y/app", the rule wants what fits "x.y/other/*""#),
        ("key", r#"keys: the request's is "k", the rule wants one of "l", "m""#),
        ("operation", r#"operations: the request's is "sign", the rule wants "attest""#),
        ("format", r#"formats: the request's is "cosign", the rule wants "bundle""#),
        ("annotation", r#"annotations.team: the request names none, the rule wants one of "a", "b""#),
        ("later", "valid_from: it is 2026-06-01T12:00:00Z, the rule is valid from 2026-07-01T00:00:00Z"),
        ("over", "valid_until: it is 2026-06-01T12:00:00Z, the rule was valid until 2026-05-01T00:00:00Z"),
        ("untrue", "condition: it is false"),
        ("untold", "condition: it can not be told: No such key: missing"),
        (
            "glob",
            r#"identity.globs.ref_path: the token does not say it, the rule wants what fits "refs/tags/*""#,
        ),
    ] {
        assert_eq!(failed(id), Some(expected), "{id}");
    }
    assert_eq!(failed("fits"), None);
    assert_eq!(explanation.decision.ruling.rule.as_deref(), Some("fits"));
}

#[test]
fn a_deny_rule_speaks_of_all_where_it_names_nobody_or_nothing() {
    let policy = rules(&[
        "id: yes, identity: [{token: ci}, {issuer: gitlab}]",
        "id: freeze, effect: deny, repositories: [x.y/app]",
    ]);
    let all = "version: 1\nrules: [{id: freeze, effect: deny}, {id: yes, effect: allow, identity: {token: ci}, repositories: [x.y/**], keys: [k]}]";
    let all = RulePolicy::parse(all.as_bytes()).unwrap();
    assert_eq!(
        all.decide(&sign(&token("ci"))).ruling.rule.as_deref(),
        Some("freeze"),
        "of all repositories and keys"
    );
    for principal in [token("ci"), job(json!({}))] {
        assert_eq!(policy.decide(&sign(&principal)).ruling.rule.as_deref(), Some("freeze"));
        let other = "x.y/other".parse().unwrap();
        assert!(allowed(&policy, Question { repository: Some(&other), ..sign(&principal) }));
    }
}
