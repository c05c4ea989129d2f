//! The header `Idempotency-Key`: the same request again gets the same answer.

use serde_json::{Value, json};

use crate::support::proxy::{is_signing, signing_calls};
use crate::support::{Answer, Fault, World};

const PATH: &str = "/v1/signatures";

async fn sign(world: &World, key: &str, body: Value) -> Answer {
    world.post_with(PATH, &[("Idempotency-Key", key)], body).await
}

#[tokio::test]
async fn the_same_key_and_body_give_the_first_answer_also_after_a_rotation_and_a_restart() {
    let mut world = World::counted().await;
    let image = world.push_image().await;
    let first = sign(&world, "job-1", json!({"image": image})).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert!(!first.headers.contains_key("idempotency-replayed"));
    world.rotate().await;
    world.restart();
    world.public_key(2).await;
    world.take_all_calls();
    let again = sign(&world, "job-1", json!({"image": image})).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    assert!(world.registry_proxy.take_calls().is_empty());

    let other = sign(&world, "job-2", json!({"image": image})).await;
    assert_eq!(
        (other.status, &other.body["key"]["version"]),
        (201.try_into().unwrap(), &json!(2)),
        "{other:?}"
    );
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict_and_signs_nothing() {
    let world = World::counted().await;
    let (one, two) = (world.push_image().await, world.push_image().await);
    assert_eq!(sign(&world, "key", json!({"image": one})).await.status, 201);
    world.take_all_calls();
    let answer = sign(&world, "key", json!({"image": two})).await;
    world.assert_problem(&answer, 409, "idempotency-conflict");
    let answer = world
        .post_with(
            "/v1/signatures:batch",
            &[("Idempotency-Key", "key")],
            json!({"requests": [{"image": one}]}),
        )
        .await;
    world.assert_problem(&answer, 409, "idempotency-conflict");
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    assert_eq!(world.signatures(&two).await, 0);
}

#[tokio::test]
async fn a_batch_is_answered_from_what_was_answered_before() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let body = json!({"requests": [{"image": image}, {"image": "nonsense"}]});
    let headers = [("Idempotency-Key", "batch")];
    let first = world.post_with("/v1/signatures:batch", &headers, body.clone()).await;
    assert_eq!(first.body["results"][0]["status"], 201, "{first:?}");
    let again = world.post_with("/v1/signatures:batch", &headers, body).await;
    assert_eq!(again.body, first.body);
}

#[tokio::test]
async fn another_principals_key_is_another() {
    let world = World::start().await;
    let image = world.push_image().await;
    assert_eq!(sign(&world, "key", json!({"image": image})).await.status, 201);
    let request = world.client.post(format!("{}{PATH}", world.signet.api)).bearer_auth(&world.outsider);
    let request = request.header("Idempotency-Key", "key").body(json!({"image": image}).to_string());
    let answer = Answer::read(request.send().await.unwrap()).await;
    world.assert_problem(&answer, 403, "forbidden");
}

#[tokio::test]
async fn what_failed_is_tried_again_with_the_same_key() {
    let world = World::counted().await;
    let image = world.push_image().await;
    world.vault_proxy.break_with(|call| is_signing(call).then(|| Fault::status(400)));
    world.assert_problem(&sign(&world, "key", json!({"image": image})).await, 503, "vault-unavailable");
    world.vault_proxy.mend();
    assert_eq!(sign(&world, "key", json!({"image": image})).await.status, 201);
}

#[tokio::test]
async fn two_requests_at_once_with_one_key_get_one_answer_and_make_one_signature() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let body = json!({"image": image});
    let answers = (0..8).map(|_| sign(&world, "key", body.clone()));
    let answers = futures::future::join_all(answers).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (answers[0].status, &answers[0].body));
    }
    assert_eq!(world.signatures(&image).await, 1);
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_before_anything_is_asked() {
    let world = World::counted().await;
    let image = world.push_image().await;
    world.take_all_calls();
    for key in ["", &"k".repeat(256), &"k".repeat(10_000), "tab\tand", "é"] {
        let answer = sign(&world, key, json!({"image": image})).await;
        world.assert_problem(&answer, 400, "invalid-request");
        assert!(answer.body["detail"].as_str().unwrap().contains("Idempotency-Key"), "{answer:?}");
    }
    let headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")];
    world.assert_problem(
        &world.post_with(PATH, &headers, json!({"image": image})).await,
        400,
        "invalid-request",
    );
    assert!(world.registry_proxy.take_calls().is_empty() && world.vault_proxy.take_calls().is_empty());
    assert_eq!(sign(&world, &"k".repeat(255), json!({"image": image})).await.status, 201);
}

#[tokio::test]
async fn who_may_not_any_more_gets_no_answer_from_before() {
    let mut world = World::counted().await;
    let image = world.push_image().await;
    let requests = json!({"requests": [{"image": image}]});
    let predicate = json!({"image": image, "predicate_type": "custom", "predicate": {}});
    let file = json!({"content": "YQ=="});
    let all = [
        (PATH, json!({"image": image})),
        ("/v1/attestations", predicate),
        ("/v1/blobs", file),
        ("/v1/signatures:batch", requests),
    ];
    for (path, body) in &all {
        let first = world.post_with(path, &[("Idempotency-Key", path)], body.clone()).await;
        assert!(first.status.is_success(), "{path}: {first:?}");
        let again = world.post_with(path, &[("Idempotency-Key", path)], body.clone()).await;
        assert_eq!(again.headers["idempotency-replayed"], "true", "{path}");
    }
    world.write_policy(&format!(
        "  - {{id: no-more, effect: deny, identity: {{token: ci}}, repositories: ['{}'], keys: ['{}'], operations: [sign, attest]}}\n  - {{id: no-files, effect: deny, identity: {{token: ci}}, keys: ['{}'], operations: [blob]}}\n",
        world.repository, world.key, world.key
    ));
    world.restart();
    for (path, body) in &all {
        let answer = world.post_with(path, &[("Idempotency-Key", path)], body.clone()).await;
        match *path {
            "/v1/signatures:batch" => {
                assert_eq!(answer.body["results"][0]["problem"]["code"], "forbidden", "{answer:?}");
            }
            _ => world.assert_problem(&answer, 403, "forbidden"),
        }
    }
}
