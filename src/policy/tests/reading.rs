//! What the file may say.

use super::{parse_rules, rules};
use crate::policy::{RulePolicy, schema};

#[test]
fn what_is_wrong_with_a_rule_is_told_with_its_line_and_column() {
    let file = |rule: &str| {
        let text = format!("version: 1\nrules:\n  - id: a\n    effect: allow\n{rule}");
        RulePolicy::parse(text.as_bytes()).unwrap_err()
    };
    let rest = "    repositories: [x.y/z]\n    keys: [k]\n";
    for (rule, expected, place) in [
        ("    identity: {token: []}\n", "rule `a`: `identity.token` is empty", "(line 5, column 23)"),
        (
            "    identity:\n      issuer: x\n      claims:\n        b: []\n",
            "`identity.claims.b` is an empty list",
            "(line 8, column 12)",
        ),
        (
            "    identity: [{token: a}, {token: b, issuer: c}]\n",
            "must have one of `token`",
            "(line 5, column 28)",
        ),
        (
            "    identity: {certificate: {comon_name: x}}\n",
            "did you mean `common_name`?",
            "(line 5, column 42)",
        ),
        ("    identity: {token: a}\n    effcet: deny\n", "did you mean \"effect\"?", "(line 6, column 13)"),
        (
            "    identity: {token: a}\n    condition: claims.a ==\n",
            "`condition` is no CEL",
            "(line 6, column 16)",
        ),
        (
            "    identity: {token: a}\n    condition: claim.a == 1\n",
            "names `claim`; a condition knows `claims`, `request` and `principal`, at column 1 of the condition",
            "(line 6, column 16)",
        ),
        (
            "    identity: {token: a}\n    condition: |\n      true &&\n        nobody(1)\n",
            "calls `nobody`, which is no function of CEL, at line 2, column 9 of the condition",
            "(line 7,",
        ),
        (
            "    identity: {token: a}\n    limits: {per_hour: 0}\n",
            "per_hour: must be an integer from 1",
            "(line 6, column 24)",
        ),
        ("    identity: {token: a}\n    valid_until: tomorrow\n", "valid_until", "(line 6, column 18)"),
        ("", "`identity` is missing", "(line 3, column 5)"),
    ] {
        let error = file(&format!("{rule}{rest}"));
        assert!(error.contains(expected) && error.contains(place), "{rule}: {error}");
    }
}

#[test]
fn what_is_empty_means_neither_all_nor_nothing() {
    for (empty, place) in [
        ("repositories: []", "repositories"),
        ("keys: []", "keys"),
        ("operations: []", "operations"),
        ("formats: []", "formats"),
        ("predicate_types: []", "predicate_types"),
        ("annotations: {}", "annotations"),
        ("annotations: {a: []}", "annotations.a"),
        ("annotations: {a: {glob: []}}", "annotations.a"),
        ("limits: {}", "limits"),
        ("condition: ''", "condition"),
    ] {
        let error = parse_rules(&[&format!("id: a, identity: {{token: ci}}, {empty}")]).unwrap_err();
        let says = |what: &str| error.contains(&format!("`{place}` is {what}"));
        assert!(says("empty") || says("an empty list"), "{error}");
    }
    for identity in [
        "[]",
        "{}",
        "{token: []}",
        "{certificate: {}}",
        "{issuer: x, claims: {}}",
        "{issuer: x, globs: {}}",
        "{issuer: x, claims: {a: {}}}",
    ] {
        assert!(parse_rules(&[&format!("id: a, identity: {identity}")]).is_err(), "{identity}");
    }
    assert!(parse_rules(&["id: '', identity: {token: ci}"]).is_err());
}

#[test]
fn what_would_not_do_what_its_author_thinks_is_refused() {
    for (rule, expected) in [
        ("identity: {token: a, claims: {b: c}}", "a configured token has no claims"),
        ("identity: {certificate: {spiffe_id: a}, claims: {b: c}}", "below `certificate`"),
        ("identity: {token: a}, effect: deny, limits: {per_hour: 1}", "a deny rule allows nothing"),
        (
            "identity: {token: a}, valid_from: 2026-01-02T00:00:00Z, valid_until: 2026-01-01T00:00:00Z",
            "not after",
        ),
        ("identity: {token: a}, operations: [resing]", "did you mean \"resign\"?"),
        ("identity: {token: a}, predicate_types: ['no type']", "a predicate type is one of"),
        ("identity: {token: a}, predicate_types: ['https://sigstore.dev/cosign/sign/v1']", "signature"),
        (
            "identity: {token: a}, condition: '[1].all(a, [1].all(b, [1].all(c, true)))'",
            "more than 2 loops within each other",
        ),
        ("identity: {token: a}, mode: watch", "must be \"enforce\" or \"observe\""),
    ] {
        let error = parse_rules(&[&format!("id: a, {rule}")]).unwrap_err();
        assert!(error.contains(expected), "{rule}: {error}");
    }
    assert!(RulePolicy::parse(b"version: 1\nrules: []\n\xff").unwrap_err().contains("line 3"));
}

#[test]
fn a_rule_is_found_by_its_id_for_its_description() {
    let policy =
        rules(&["id: a, description: for releases, identity: {token: ci}", "id: b, identity: {token: ci}"]);
    assert_eq!(policy.description("a"), Some("for releases"));
    assert_eq!((policy.description("b"), policy.description("c")), (None, None));
}

#[test]
fn the_schema_knows_every_key_and_refuses_others() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let rule = &schema["$defs"]["RuleText"];
    assert_eq!(rule["additionalProperties"], false);
    let keys: Vec<_> = rule["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let error = parse_rules(&["id: a, identity: {token: a}, zzzzzzzzzzzzzzzz: 1"]).unwrap_err();
    for key in keys {
        assert!(error.contains(key), "{key}: {error}");
    }
}
