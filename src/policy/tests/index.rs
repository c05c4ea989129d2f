//! The index changes nothing but the time.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Policy as _, Question, RulePolicy, Timestamp, parse_rules, token, workload};
use crate::domain::{Format, KeyName, Operation, Principal, Repository};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_the_index_decides_is_what_a_look_at_every_rule_decides(
        rules in proptest::collection::vec(rule(), 0..12),
        principal in principal(),
        operation in proptest::sample::select(Operation::ALL.to_vec()),
        repository in proptest::option::of(proptest::sample::select(vec!["x.y/a", "x.y/a/b", "z.y/a"])),
        key in proptest::option::of(proptest::sample::select(vec!["k", "l", "m"])),
        format in proptest::option::of(proptest::sample::select(Format::ALL.to_vec())),
    ) {
        let texts: Vec<_> = rules.iter().enumerate().map(|(place, rule)| format!("id: r{place}, {rule}")).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let policy = parse_rules(&texts).unwrap();
        let repository: Option<Repository> = repository.map(|name| name.parse().unwrap());
        let key: Option<KeyName> = key.map(|name| name.parse().unwrap());
        let question = Question {
            repository: repository.as_ref(),
            key: key.as_ref(),
            format,
            ..Question::new(&principal, operation, Timestamp::UNIX_EPOCH)
        };
        check(&policy, &question);
    }
}

fn check(policy: &RulePolicy, question: &Question<'_>) {
    let all: Vec<_> = (0..policy.len()).collect();
    let decision = policy.decide(question);
    assert_eq!(decision, policy.decide_among(&all, question));
    let explanation = policy.explain(question);
    assert_eq!(decision, explanation.decision);
    let matching = |allows| {
        explanation.rules.iter().any(|rule| !rule.observes && rule.allows == allows && rule.failed.is_none())
    };
    // Where nothing is left open, what the rules say of themselves is the decision.
    if question.format.is_some() && question.key.is_some() {
        assert_eq!(decision.allowed, matching(true) && !matching(false));
    }
}

/// Few names and values, so that rules and callers meet.
fn principal() -> impl Strategy<Value = Principal> {
    let scalars = vec![json!("1"), json!(1), json!("2"), json!(true), json!(null)];
    let elements = proptest::sample::select(vec![json!("1"), json!(2), json!("x/y")]);
    let value = prop_oneof![
        4 => proptest::sample::select(scalars),
        1 => proptest::collection::vec(elements, 0..3).prop_map(Value::Array),
        1 => proptest::sample::select(vec![json!("1"), json!("2")]).prop_map(|inner| json!({"n": inner})),
    ];
    let claims = proptest::collection::btree_map("[abc]", value, 0..4);
    prop_oneof![
        1 => "[tu]".prop_map(|name| token(&name)),
        4 => ("[ij]", claims).prop_map(|(issuer, claims)| {
            workload(&issuer, Value::Object(Map::from_iter(claims)))
        }),
    ]
}

/// A rule without its id.
fn rule() -> impl Strategy<Value = String> {
    let value = proptest::sample::select(vec!["'1'", "1", "[1, 2]", "'true'", "{n: 1}", "[2, x/y]"]);
    let claims = proptest::collection::btree_map("[abc]", value, 1..3);
    let claims = claims.prop_map(|claims| {
        let claims: Vec<_> = claims.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("claims: {{{}}}", claims.join(", "))
    });
    let conditions = prop_oneof![
        4 => claims,
        1 => Just("globs: {a: '*'}".to_owned()),
        1 => Just("globs: {b: 'x/**', a: '1'}".to_owned()),
    ];
    let one = prop_oneof![
        1 => proptest::sample::select(vec!["{token: t}", "{token: [t, u]}", "{issuer: i}"]).prop_map(str::to_owned),
        4 => ("[ij]", conditions).prop_map(|(issuer, conditions)| format!("{{issuer: {issuer}, {conditions}}}")),
    ];
    let identity =
        proptest::collection::vec(one, 1..3).prop_map(|all| format!("identity: [{}]", all.join(", ")));
    let rest = proptest::sample::select(vec![
        "operations: [sign, attest, blob, verify, log.read, policy.explain]",
        "operations: [sign, blob]",
        "operations: [log.read]",
        "formats: [cosign]",
        "formats: [bundle], keys: [k, l]",
        "repositories: [x.y/*]",
        "repositories: ['**'], keys: [l]",
        "condition: claims.a == 1 || request.format == 'cosign'",
        "condition: has(claims.b)",
    ]);
    let effect = proptest::sample::select(vec!["allow", "allow", "deny"]);
    let mode = proptest::sample::select(vec!["enforce", "enforce", "observe"]);
    let everybody = proptest::bool::weighted(0.1);
    (identity, rest, effect, mode, everybody).prop_map(|(identity, rest, effect, mode, everybody)| {
        let identity = if everybody && effect == "deny" { String::new() } else { format!("{identity}, ") };
        format!("{identity}effect: {effect}, mode: {mode}, {rest}")
    })
}
