//! What rules for configured tokens decide.

use crate::domain::{Format, Operation, Principal, Timestamp};
use crate::policy::RulePolicy;
use crate::ports::{Decision, Policy as _, Question};

fn policy(text: &str) -> RulePolicy {
    RulePolicy::parse(text.as_bytes()).unwrap()
}

fn ask(policy: &RulePolicy, name: &str, repository: &str, key: &str, format: Option<Format>) -> Decision {
    let principal = Principal::Token { name: name.to_owned() };
    policy.decide(&Question {
        repository: Some(&repository.parse().unwrap()),
        key: Some(&key.parse().unwrap()),
        format,
        ..Question::new(&principal, Operation::Sign, Timestamp::UNIX_EPOCH)
    })
}

const RULES: &str = r#"
version: 1
rules:
  - id: payments
    effect: allow
    identity: {token: ci}
    repositories: ["registry.example.com/payments/**"]
    keys: [release]
    formats: [cosign]
  - id: one-level
    effect: allow
    identity: {token: other}
    repositories: ["registry.example.com/*/app"]
    keys: [release]
  - id: not-legacy
    effect: deny
    identity: {token: ci}
    repositories: ["registry.example.com/payments/legacy/**"]
    keys: [release]
  - id: auditors
    effect: allow
    identity: {token: auditor}
    operations: [log.read]
"#;

#[test]
fn what_no_rule_allows_is_denied() {
    let policy = policy(RULES);
    let app = "registry.example.com/payments/app";
    let allowed = ask(&policy, "ci", app, "release", None);
    assert_eq!((allowed.allowed, allowed.ruling.rule.as_deref()), (true, Some("payments")));
    for (name, repository, key) in [
        ("nobody", app, "release"),
        ("ci", "registry.example.com/other/app", "release"),
        ("ci", "registry.example.com/payments", "release"),
        ("ci", "registry.example.com/paymentsx/app", "release"),
        ("ci", "registry.example.com:8443/payments/app", "release"),
        ("ci", app, "other"),
    ] {
        let decision = ask(&policy, name, repository, key, None);
        assert_eq!((decision.allowed, decision.ruling.rule), (false, None), "{name} {repository} {key}");
    }
}

#[test]
fn a_star_stops_at_a_slash_and_two_cross_it() {
    let policy = policy(RULES);
    assert!(ask(&policy, "ci", "registry.example.com/payments/a/b/c", "release", None).allowed);
    assert!(ask(&policy, "other", "registry.example.com/team/app", "release", None).allowed);
    assert!(!ask(&policy, "other", "registry.example.com/team/sub/app", "release", None).allowed);
}

#[test]
fn a_deny_rule_beats_an_allow_rule_and_is_named() {
    let denied = ask(&policy(RULES), "ci", "registry.example.com/payments/legacy/app", "release", None);
    assert_eq!((denied.allowed, denied.ruling.rule.as_deref()), (false, Some("not-legacy")));
}

#[test]
fn a_format_that_the_rule_does_not_name_is_denied() {
    let (policy, app) = (policy(RULES), "registry.example.com/payments/app");
    assert!(ask(&policy, "ci", app, "release", Some(Format::Cosign)).allowed);
    assert!(!ask(&policy, "ci", app, "release", Some(Format::Bundle)).allowed);
}

#[test]
fn an_operation_is_allowed_by_name_alone() {
    let policy = policy(RULES);
    let auditor = Principal::Token { name: "auditor".to_owned() };
    let mut question = Question::new(&auditor, Operation::LogRead, Timestamp::UNIX_EPOCH);
    assert!(policy.decide(&question).allowed);
    question.operation = Operation::Sign;
    assert!(!policy.decide(&question).allowed);
}

#[test]
fn a_rule_for_files_needs_a_key_and_no_repository() {
    let rules = "version: 1\nrules: [{id: a, effect: allow, identity: {token: ci}, keys: [release], operations: [blob]}]";
    let (policy, ci) = (policy(rules), Principal::Token { name: "ci".to_owned() });
    let (release, other) = ("release".parse().unwrap(), "other".parse().unwrap());
    let question = Question::new(&ci, Operation::Blob, Timestamp::UNIX_EPOCH);
    let question = Question { key: Some(&release), ..question };
    assert!(policy.decide(&question).allowed);
    assert!(!policy.decide(&Question { key: Some(&other), ..question }).allowed);
    let repository = "registry.example.com/payments/app".parse().unwrap();
    for operation in [Operation::Sign, Operation::Attest, Operation::Verify] {
        let question = Question { operation, repository: Some(&repository), ..question };
        assert!(!policy.decide(&question).allowed, "{operation}");
    }
}

#[test]
fn a_wrong_file_says_which_rule_and_what_would_be_right() {
    for (text, expected) in [
        ("version: 2\nrules: []", "version"),
        (
            "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, keys: [k]}]",
            "rule `a`: `repositories`",
        ),
        (
            "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, repositories: [x.y/z]}]",
            "rule `a`: `keys`",
        ),
        (
            "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, keys: [k], operations: [verify]}]",
            "rule `a`: `repositories`",
        ),
        (
            "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, repositories: ['x.y/[z'], keys: [k]}]",
            "rule `a`: `repositories`",
        ),
        (
            "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, operations: [log.read]}, {id: a, effect: deny, identity: {token: x}, operations: [log.read]}]",
            "rule `a`",
        ),
        (
            "version: 1\nrules: [{id: a, effect: deny, identity: {token: x}, keys: [k], operations: [blob, attest]}]",
            "could never match `attest`",
        ),
        (
            "version: 1\nrules: [{id: a, effect: allow, identity: {token: x}, repositories: [x.y/z], operations: [blob]}]",
            "rule `a`: `keys`",
        ),
        ("version: 1\nrules: [{id: a, efect: allow, identity: {token: x}}]", "did you mean"),
        ("version: 1\nrules: [{id: a, effect: allow, identity: {}}]", "token"),
    ] {
        let error = RulePolicy::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
