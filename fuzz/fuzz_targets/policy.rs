//! Policies as people write them: whatever is accepted decides without a panic, and says of its rules what it decides.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use signet::domain::{
    Annotations, Digest, Format, KeyName, Operation, Principal, Repository, Timestamp, Workload,
};
use signet::policy::{RulePolicy, Suite};
use signet::ports::{Policy as _, Question};

fuzz_target!(|content: &[u8]| {
    let now = Timestamp::UNIX_EPOCH;
    if let Ok(text) = std::str::from_utf8(content) {
        let _ = Suite::parse(text, now);
    }
    let Ok(policy) = RulePolicy::parse(content) else { return };
    let _ = policy.warnings(None, now);
    let claims = json!({"project_id": "4711", "groups": ["a", "b", 3], "n": {"m": true}, "ref": "refs/tags/v1", "sub": null});
    let principals = [
        Principal::Token { name: "ci".to_owned() },
        Principal::Workload(Arc::new(Workload {
            issuer: "gitlab".to_owned(),
            name: "job".to_owned(),
            claims: claims.as_object().cloned().unwrap_or_default(),
            token: Digest::of(b"token"),
            expires: Timestamp::MAX,
        })),
    ];
    let repository: Repository = "x.y/app".parse().expect("a repository");
    let key: KeyName = "k".parse().expect("a key");
    let annotations = Annotations::default();
    for principal in &principals {
        let question = Question {
            repository: Some(&repository),
            key: Some(&key),
            format: Some(Format::Cosign),
            annotations: Some(&annotations),
            ..Question::new(principal, Operation::Sign, now)
        };
        let decision = policy.decide(&question);
        let explanation = policy.explain(&question);
        assert_eq!(decision, explanation.decision);
        let matching = |allows| {
            explanation
                .rules
                .iter()
                .any(|rule| !rule.observes && rule.allows == allows && rule.failed.is_none())
        };
        assert_eq!(decision.allowed, matching(true) && !matching(false));
        let reading = Question { operation: Operation::LogRead, key: None, format: None, ..question };
        let (_, reach) = policy.reach(&reading);
        assert_eq!(policy.decide(&reading).allowed, reach.sees(Some(&repository)));
        let of_all = policy.decide(&Question { repository: None, ..reading });
        assert_eq!(of_all.allowed, reach.is_whole());
    }
});
