//! How many signatures somebody gets, and what is left of a flood of refusals.

use futures::future::join_all;
use serde_json::{Value, json};
use signet::domain::Digest;

use crate::support::proxy::signing_calls;
use crate::support::world::Settings;
use crate::support::{Answer, World};

/// A world in which everybody gets so many signatures an hour.
async fn hourly(limit: u32) -> World {
    let lines = vec![("limits", format!("signatures_per_hour = {limit}"))];
    World::counted_with(Settings { lines, ..Settings::default() }).await
}

fn file(number: usize) -> Value {
    json!({"digest": Digest::of(number.to_string().as_bytes()).to_string()})
}

#[tokio::test]
async fn an_hours_signatures_are_counted_over_restarts_and_what_is_there_costs_nothing() {
    let mut world = hourly(3).await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    assert_eq!(world.sign_blob(file(1)).await.status, 201);
    for _ in 0..3 {
        assert_eq!(world.sign_image(&image).await.status, 200);
        assert_eq!(world.sign_blob(file(1)).await.status, 200);
    }
    let attestation = json!({"image": image, "predicate_type": "custom", "predicate": {}});
    assert_eq!(world.attest(attestation.clone()).await.status, 201);
    world.take_all_calls();
    for _ in 0..2 {
        let answer = world.sign_blob(file(2)).await;
        world.assert_problem(&answer, 429, "rate-limited");
        // The oldest use was made in this hour's last minutes, so the hour is not over for long.
        let seconds = answer.retry_after().unwrap();
        assert!((3480..=3660).contains(&seconds), "{seconds}");
        assert!(answer.detail().contains("3 signatures"), "{answer:?}");
        assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
        world.restart();
    }
    assert_eq!(world.sign_image(&image).await.status, 200);
    assert_eq!(world.attest(attestation).await.status, 200);
    assert_eq!(world.entries("kind=intent").await.len(), 3);
    assert!(world.metric("signet_rate_limited_total").await < 1.0, "it has been restarted");
}

#[tokio::test]
async fn a_rules_own_limit_is_counted_for_it_alone() {
    let mut world = World::counted().await;
    // Files by a rule with a limit, and images by one without.
    let path = world.directory.path().join("policy.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[sign, attest, blob, verify]", "[sign, verify]")).unwrap();
    world.write_policy(&format!(
        "  - id: files\n    effect: allow\n    identity: {{token: ci}}\n    keys: ['{}']\n    operations: [blob]\n    limits: {{per_hour: 2}}\n",
        world.key
    ));
    world.restart();
    assert_eq!(world.sign_blob(file(1)).await.status, 201);
    assert_eq!(world.sign_blob(file(2)).await.status, 201);
    let answer = world.sign_blob(file(3)).await;
    world.assert_problem(&answer, 429, "rate-limited");
    assert!(answer.detail().contains("rule `files`"), "{answer:?}");
    assert_eq!(world.sign_image(&world.push_image().await).await.status, 201);
    let question = json!({"operation": "blob", "key": world.key});
    let decision = world.post("/v1/policy/decisions", &world.token, question.to_string()).await;
    assert_eq!(decision.body["limits"], json!({"per_hour": 2}), "{decision:?}");
}

#[tokio::test]
async fn what_a_rule_would_decide_that_only_observes_is_counted_and_said() {
    let mut world = World::counted().await;
    world.write_policy(&format!(
        "  - id: would-deny\n    effect: deny\n    mode: observe\n    identity: {{token: ci}}\n    keys: ['{}']\n    operations: [blob]\n",
        world.key
    ));
    world.restart();
    for number in 0..100 {
        assert_eq!(world.sign_blob(file(number)).await.status, 201);
    }
    assert_eq!(world.metric("signet_policy_observed_total{rule=\"would-deny\"}").await, 100.0);
    let allowed = "signet_policy_decisions_total{operation=\"blob\",decision=\"allow\"}";
    assert_eq!(world.metric(allowed).await, 100.0);
    world.logs("would decide otherwise").await;
}

#[tokio::test]
async fn of_an_index_everything_is_counted_and_nothing_is_signed_where_that_is_too_much() {
    let world = hourly(4).await;
    let children = [world.push_child().await, world.push_child().await];
    let (index, _) = world.push_index(&children).await;
    let recursive = json!({"image": index, "recursive": true});
    assert_eq!(world.sign_blob(file(1)).await.status, 201);
    assert_eq!(world.sign_blob(file(2)).await.status, 201);
    let answer = world.sign(recursive.clone()).await;
    world.assert_problem(&answer, 429, "rate-limited");
    assert_eq!(world.entries("kind=intent").await.len(), 2);
    assert_eq!(world.signatures(&index).await, 0);
    // What is left is left.
    assert_eq!(world.sign(json!({"image": index})).await.status, 201);
    assert_eq!(world.sign_blob(file(3)).await.status, 201);
    world.assert_problem(&world.sign_blob(file(4)).await, 429, "rate-limited");
}

#[tokio::test]
async fn a_request_that_is_more_than_the_limit_is_told_that_waiting_does_not_help() {
    let world = hourly(2).await;
    let children = [world.push_child().await, world.push_child().await];
    let (index, _) = world.push_index(&children).await;
    let answer = world.sign(json!({"image": index, "recursive": true})).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (429, "rate-limited"), "{answer:?}");
    assert_eq!(answer.retry_after(), None);
    assert!(answer.detail().contains("Waiting does not help"), "{answer:?}");
}

#[tokio::test]
async fn of_many_at_once_no_more_are_signed_than_the_limit_says() {
    let world = hourly(10).await;
    let answers = join_all((0..40).map(|number| world.sign_blob(file(number)))).await;
    let signed = answers.iter().filter(|answer| answer.status == 201).count();
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 201).collect();
    assert_eq!(signed, 10, "{answers:?}");
    for answer in refused {
        world.assert_problem(answer, 429, "rate-limited");
    }
    assert_eq!(world.metric("signet_rate_limited_total").await, 30.0);
    // A batch says it of each.
    let requests = json!({"requests": [{"image": world.push_image().await}]});
    let batch = world.post("/v1/signatures:batch", &world.token, requests.to_string()).await;
    assert_eq!(batch.body["results"][0]["problem"]["code"], "rate-limited", "{batch:?}");
}

#[tokio::test]
async fn nothing_is_signed_where_nothing_can_be_counted() {
    let world = hourly(10).await;
    let database = world.directory.path().join("signet.db");
    let away = world.directory.path().join("away");
    std::fs::rename(&database, &away).unwrap();
    let answer = world.sign_blob(file(1)).await;
    world.assert_problem(&answer, 503, "log-unavailable");
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    std::fs::rename(&away, &database).unwrap();
    assert_eq!(world.sign_blob(file(1)).await.status, 201);
}

#[tokio::test]
async fn a_rotation_while_somebody_signs_costs_no_second_signature() {
    let world = hourly(1).await;
    world.rotate().await;
    world.set_minimum(2).await;
    // Signet knows version 1 alone, and Vault signs with it no more.
    let answer = world.sign_blob(file(1)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["key"]["version"]), (201, &json!(2)), "{answer:?}");
    world.assert_problem(&world.sign_blob(file(2)).await, 429, "rate-limited");
}

#[tokio::test]
async fn a_flood_of_refusals_leaves_few_entries_whose_counts_add_up() {
    const FLOOD: usize = 300;
    let mut world = World::counted().await;
    let image = world.push_image().await;
    let refused = async |number: usize| {
        let body = match number % 3 {
            0 => json!({"digest": Digest::of(number.to_string().as_bytes()).to_string(), "key": world.key}),
            _ => json!({"digest": file(number)["digest"]}),
        };
        let answer = world.post("/v1/blobs", &world.outsider, body.to_string()).await;
        world.assert_problem(&answer, 403, "forbidden");
    };
    join_all((0..FLOOD).map(refused)).await;
    let other = world.post("/v1/signatures", &world.outsider, json!({"image": image}).to_string()).await;
    world.assert_problem(&other, 403, "forbidden");
    assert_eq!(
        world.metric("signet_policy_decisions_total{operation=\"blob\",decision=\"deny\"}").await,
        FLOOD as f64
    );
    // What was counted is logged at the end.
    world.signet.terminate();
    assert_eq!(world.signet.wait().await.code(), Some(0));
    let lines = world.signet.log_lines();
    let about = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert!(about("refused by policy") <= 13, "{lines:#?}");
    assert!(about("answered") < FLOOD, "{}", about("answered"));
    world.serve();
    let entries = world.entries("kind=refusal").await;
    assert_eq!(entries.len(), 13, "five and one of each kind of file, and one image: {entries:#?}");
    let count = |entry: &Value| entry.get("count").map_or(1, |count| count.as_u64().unwrap());
    assert_eq!(entries.iter().map(count).sum::<u64>(), FLOOD as u64 + 1);
    assert!(entries.iter().all(|entry| entry["principal"] == "token:outsider"));
    assert!(entries.iter().all(|entry| entry.get("alike").is_none()), "{entries:#?}");
}

#[tokio::test]
async fn a_flood_of_callers_that_are_nobody_does_not_flood_the_lines() {
    let world = World::counted().await;
    let nobody = async |_| {
        let answer = world.post("/v1/blobs", "no-such-token", "{}").await;
        assert_eq!(answer.status, 401);
    };
    for _ in 0..4 {
        join_all((0..100).map(nobody)).await;
    }
    let lines = world.signet.log_lines();
    let about = lines.iter().filter(|line| line.contains("not authenticated")).count();
    assert!((1..300).contains(&about), "{about}");
}
