//! `POST /v1/policy/decisions`.

use serde_json::{Value, json};
use signet::domain::Digest;

use crate::support::{Answer, World};

const PATH: &str = "/v1/policy/decisions";

async fn ask(world: &World, token: &str, body: &Value) -> Answer {
    world.post(PATH, token, body.to_string()).await
}

fn image(world: &World) -> String {
    world.image(Digest::of(b"an image that nobody pushed"))
}

/// A world in which the outsider may ask for explanations, and nothing else.
async fn with_an_auditor() -> World {
    let mut world = World::counted().await;
    world.write_policy(
        "  - id: auditors\n    effect: allow\n    identity: {token: outsider}\n    operations: [policy.explain]\n",
    );
    world.restart();
    world.public_key(1).await;
    world.take_all_calls();
    world
}

#[tokio::test]
async fn callers_ask_what_they_may_do_and_nothing_happens() {
    let world = World::counted().await;
    let policy = Digest::of(&std::fs::read(world.directory.path().join("policy.yaml")).unwrap()).to_string();
    let image = image(&world);
    for (question, rule) in [
        (json!({"image": image}), Some("everything")),
        (
            json!({"image": image, "key": world.key, "format": "bundle", "operation": "sign"}),
            Some("everything"),
        ),
        (json!({"image": image, "annotations": {"commit": "c0ffee"}}), Some("everything")),
        (json!({"image": image, "operation": "attest", "predicate_type": "spdx"}), Some("everything")),
        (json!({"image": image, "operation": "verify"}), Some("everything")),
        (json!({"operation": "blob", "key": world.key}), Some("everything")),
        (json!({"operation": "log.read"}), Some("reads")),
        (json!({"operation": "log.read", "image": image}), Some("reads")),
        (json!({"operation": "policy.explain"}), None),
        (json!({"image": image, "key": "no-such-key"}), None),
        (json!({"image": image.replace("/team/", "/other/")}), None),
    ] {
        let answer = ask(&world, &world.token, &question).await;
        assert_eq!(answer.status, 200, "{question}: {answer:?}");
        let (decision, reason) = match rule {
            Some(rule) => ("allow", format!("The rule `{rule}` allows it.")),
            None => ("deny", "No rule allows it.".to_owned()),
        };
        let expected = json!({"decision": decision, "rule": rule, "reason": reason, "policy": policy});
        assert_eq!(answer.body, expected, "{question}");
    }
    let denied = ask(&world, &world.outsider, &json!({"image": image})).await;
    assert_eq!(denied.body["decision"], "deny");
    world.assert_untouched();
    assert!(world.entries("operation=sign").await.is_empty());
    let counted = world.metric("signet_policy_decisions_total{operation=\"sign\",decision=\"allow\"}").await;
    assert_eq!(counted, 0.0, "a question is no use of the rule");
}

#[tokio::test]
async fn asking_about_others_and_why_needs_a_rule() {
    let world = with_an_auditor().await;
    let image = image(&world);
    let about = |principal: Value| json!({"image": image, "principal": principal});
    for principal in [
        json!({"token": "ci"}),
        json!({"issuer": "gitlab", "claims": {"sub": "project_path:team/app"}}),
        json!({"certificate": {"common_name": "ci"}}),
    ] {
        let answer = ask(&world, &world.token, &about(principal.clone())).await;
        world.assert_problem(&answer, 403, "forbidden");
        let answer = ask(&world, &world.outsider, &about(principal.clone())).await;
        assert_eq!(answer.status, 200, "{principal}: {answer:?}");
        let allowed = principal.get("token").is_some();
        assert_eq!(answer.body["decision"], if allowed { "allow" } else { "deny" }, "{principal}");
        let rules = answer.body["rules"].as_array().unwrap();
        let ids: Vec<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["reads", "everything", "auditors"]);
        assert_eq!(rules[1]["matched"], allowed);
        assert_eq!(rules[1]["failed"].is_string(), !allowed, "{answer:?}");
        assert_eq!((&rules[1]["effect"], &rules[1]["mode"]), (&json!("allow"), &json!("enforce")));
        assert_eq!((&rules[0]["matched"], &rules[2]["matched"]), (&json!(false), &json!(false)));
    }
    // Who may ask why is told of himself, too.
    let own = ask(&world, &world.outsider, &json!({"operation": "policy.explain"})).await;
    assert_eq!((&own.body["rule"], &own.body["rules"][2]["matched"]), (&json!("auditors"), &json!(true)));
    world.assert_untouched();
    assert!(world.entries("decision=deny").await.is_empty(), "asking is nothing to refuse");
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let world = with_an_auditor().await;
    let image = image(&world);
    for (question, code) in [
        (json!({}), "invalid-request"),
        (json!({"operation": "attest"}), "invalid-request"),
        (json!({"operation": "blob", "image": image}), "invalid-request"),
        (json!({"operation": "destroy", "image": image}), "invalid-request"),
        (json!({"image": image, "imagge": image}), "invalid-request"),
        (json!({"image": "registry.example.com/team/app:latest"}), "digest-required"),
        (json!({"image": image, "format": "pgp"}), "format-unsupported"),
        (json!({"image": image, "key": "no key"}), "invalid-request"),
        (json!({"image": image, "predicate_type": ""}), "invalid-request"),
        (json!({"image": image, "principal": {}}), "invalid-request"),
        (json!({"image": image, "principal": {"token": "ci", "issuer": "gitlab"}}), "invalid-request"),
        (json!({"image": image, "principal": {"issuer": "gitlab"}}), "invalid-request"),
        (json!({"image": image, "principal": {"issuer": "gitlab", "claims": []}}), "invalid-request"),
        (json!({"image": image, "principal": {"token": "ci", "admin": true}}), "invalid-request"),
    ] {
        let answer = ask(&world, &world.outsider, &question).await;
        world.assert_problem(&answer, 400, code);
    }
    let large = json!({"image": image, "principal": {"issuer": "x", "claims": {"a": "x".repeat(70_000)}}});
    let answer = ask(&world, &world.outsider, &large).await;
    world.assert_problem(&answer, 413, "payload-too-large");
}
