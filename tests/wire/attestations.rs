//! `POST /v1/attestations`.

mod layouts;
mod outbox;
mod replace;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::proxy::signing_calls;
use crate::support::world::Settings;
use crate::support::{Answer, World};

const FORMATS: [&str; 2] = ["cosign", "bundle"];

/// A predicate of no type that anybody knows.
fn request(image: &str, n: u32) -> Value {
    json!({"image": image, "predicate_type": "https://example.com/test/v1", "predicate": {"n": n}})
}

/// `request` with `name` as `value`.
fn with(mut request: Value, name: &str, value: impl Into<Value>) -> Value {
    request[name] = value.into();
    request
}

/// The predicates of the attestations that the image has, in the layout `cosign`.
async fn attested(world: &World, image: &str) -> Vec<Value> {
    let mut predicates = Vec::new();
    for layer in world.attestations(image).await {
        assert_eq!(layer["mediaType"], "application/vnd.dsse.envelope.v1+json");
        assert_eq!(layer["annotations"]["dev.cosignproject.cosign/signature"], "");
        let blob = world.blob(image, layer["digest"].as_str().unwrap()).await;
        let statement = statement(&serde_json::from_slice(&blob).unwrap());
        assert_eq!(statement["predicateType"], layer["annotations"]["predicateType"]);
        predicates.push(statement["predicate"].clone());
    }
    predicates
}

/// The statement in an envelope.
fn statement(envelope: &Value) -> Value {
    serde_json::from_slice(&STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

fn assert_made(answer: &Answer) {
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn assert_there(answer: &Answer, first: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    for field in ["id", "key", "predicate_type", "signed_at", "log"] {
        assert_eq!(answer.body[field], first.body[field], "{field}");
    }
    assert_eq!(answer.body["signatures"][0]["signature"], first.body["signatures"][0]["signature"]);
}

#[tokio::test]
async fn a_first_attestation_is_201_and_the_same_again_is_200_and_changes_nothing() {
    let world = World::counted().await;
    for format in FORMATS {
        let image = world.push_image().await;
        let request = with(request(&image, 1), "format", format);
        let first = world.attest(request.clone()).await;
        assert_made(&first);
        assert_eq!(first.body["state"], "attached");
        assert_eq!(first.body["predicate_type"], "https://example.com/test/v1");
        assert_eq!(first.body["signatures"][0]["format"], format);
        assert_eq!(first.body["signatures"][0]["payload"], Value::Null, "the registry has it");
        assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);

        world.take_all_calls();
        assert_there(&world.attest(request.clone()).await, &first);
        assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
        let calls = world.registry_proxy.take_calls();
        assert!(calls.iter().all(|call| call.method == "GET" || call.method == "HEAD"), "{calls:?}");
        assert!(calls.len() <= 3, "{calls:?}");
    }
}

#[tokio::test]
async fn another_type_other_bytes_and_another_format_are_another_attestation() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let text = |predicate: &str| {
        format!(r#"{{"image":"{image}","predicate_type":"https://example.com/a","predicate":{predicate}}}"#)
    };
    for (made, predicate) in [(true, r#"{"a":1}"#), (true, r#"{"a": 1}"#), (false, r#"{"a":1}"#)] {
        let answer = world.post("/v1/attestations", &world.token, text(predicate)).await;
        assert_eq!(answer.status, if made { 201 } else { 200 }, "{predicate}");
    }
    let other_type = text(r#"{"a":1}"#).replace("example.com/a", "example.com/b");
    assert_made(&world.post("/v1/attestations", &world.token, other_type).await);
    assert_eq!(attested(&world, &image).await.len(), 3);
}

#[tokio::test]
async fn a_predicate_is_signed_byte_for_byte_and_the_log_has_its_digest() {
    let world = World::counted().await;
    let predicate = "{ \"z\" : 1.50,\n\"a\":\"\\u00e9<\" }";
    for format in FORMATS {
        let image = world.push_image().await;
        let request = format!(
            r#"{{"image":"{image}","format":"{format}","predicate_type":"custom","predicate": {predicate} }}"#
        );
        let answer = world.post("/v1/attestations", &world.token, request).await;
        assert_made(&answer);
        let envelope = match format {
            "cosign" => {
                let digest = world.attestations(&image).await[0]["digest"].as_str().unwrap().to_owned();
                serde_json::from_slice(&world.blob(&image, &digest).await).unwrap()
            }
            _ => {
                let reference = answer.body["signatures"][0]["reference"].as_str().unwrap();
                let (_, digest) = reference.split_once('@').unwrap();
                let (_, manifest) = world.tagged(&image, digest).await.unwrap();
                let digest = manifest["layers"][0]["digest"].as_str().unwrap();
                let bundle: Value = serde_json::from_slice(&world.blob(&image, digest).await).unwrap();
                bundle["dsseEnvelope"].clone()
            }
        };
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        assert!(payload.ends_with(&format!("\"predicate\":{predicate}}}")), "{payload}");

        let (_, digest) = image.split_once('@').unwrap();
        let entries = world.entries(&format!("digest={digest}")).await;
        assert!(entries.iter().all(|entry| entry["operation"] == "attest"), "{entries:?}");
        for entry in &entries {
            let sha256 = |text: &str| format!("sha256:{}", hex::encode(Sha256::digest(text)));
            assert_eq!(entry["claim"]["predicate_type"], "https://cosign.sigstore.dev/attestation/v1");
            assert_eq!(entry["claim"]["predicate"], sha256(predicate));
            assert_eq!(entry["payload"], sha256(&payload));
        }
    }
}

#[tokio::test]
async fn an_attestation_that_the_log_does_not_know_is_adopted_and_not_made_again() {
    let mut world = World::counted().await;
    let mut attested = Vec::new();
    for format in FORMATS {
        let image = world.push_image().await;
        let request = with(request(&image, 1), "format", format);
        let first = world.attest(request.clone()).await;
        assert_made(&first);
        attested.push((image, request, first));
    }
    world.signet.kill();
    for name in ["signet.db", "signet.db-wal", "signet.db-shm"] {
        let _ = std::fs::remove_file(world.directory.path().join(name));
    }
    world.serve();
    world.public_key(1).await;
    world.take_all_calls();
    for (image, request, first) in attested {
        let answer = world.attest(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["signatures"][0]["signature"], first.body["signatures"][0]["signature"]);
        let (_, digest) = image.split_once('@').unwrap();
        assert_eq!(world.entries(&format!("digest={digest}&kind=adopted")).await.len(), 1);
    }
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
}

#[tokio::test]
async fn after_a_rotation_the_same_request_makes_a_new_attestation_beside_the_old_one() {
    let world = World::counted().await;
    let image = world.push_image().await;
    assert_made(&world.attest(request(&image, 1)).await);
    world.rotate().await;
    let newer = world.attest(with(request(&image, 1), "key_version", 2)).await;
    assert_made(&newer);
    assert_eq!(newer.body["key"]["version"], 2);
    assert_eq!(attested(&world, &image).await, [json!({"n": 1}), json!({"n": 1})]);
}

#[tokio::test]
async fn many_at_once_on_one_image_are_all_there() {
    let world = World::counted().await;
    for format in FORMATS {
        let image = world.push_image().await;
        let attest = |n| world.attest(with(request(&image, n % 8), "format", format));
        let answers = futures::future::join_all((0..16_u32).map(attest)).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        let there = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((made, there), (8, 8), "{answers:?}");
        let count = match format {
            "cosign" => world.attestations(&image).await.len(),
            _ => world.bundles(&image).await.len(),
        };
        assert_eq!(count, 8);
    }
}

#[tokio::test]
async fn an_idempotency_key_gives_the_first_answer_again() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let headers = [("Idempotency-Key", "4711")];
    let first = world.post_with("/v1/attestations", &headers, request(&image, 1)).await;
    assert_made(&first);
    world.take_all_calls();
    let again = world.post_with("/v1/attestations", &headers, request(&image, 1)).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    world.assert_untouched();
    let other = world.post_with("/v1/attestations", &headers, request(&image, 2)).await;
    world.assert_problem(&other, 409, "idempotency-conflict");
}

#[tokio::test]
async fn who_may_sign_may_not_attest_and_a_key_for_signatures_attests_nothing() {
    let mut world = World::counted().await;
    let image = world.push_image().await;
    world.reconfigure(|config| config.replace("[[keys]]", "[[keys]]\npurposes = ['signature']"));
    let answer = world.attest(with(request(&image, 1), "key", world.key.clone())).await;
    world.assert_problem(&answer, 400, "invalid-request");
    assert!(answer.body["detail"].as_str().unwrap().contains("attestations"), "{answer:?}");
    assert_eq!(world.sign_image(&image).await.status, 201);

    let policy = world.directory.path().join("policy.yaml");
    let rules = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, rules.replace("attest, ", "")).unwrap();
    world.reconfigure(|config| config.replace("purposes = ['signature']", ""));
    let answer = world.attest(request(&image, 1)).await;
    world.assert_problem(&answer, 403, "forbidden");
    let (_, digest) = image.split_once('@').unwrap();
    let query = format!("digest={digest}&kind=refusal");
    let refusal = world.eventually("it is logged", async || world.entries(&query).await.pop()).await;
    assert_eq!(refusal["operation"], "attest");
}

#[tokio::test]
async fn attestations_are_found_by_their_id_and_verify() {
    let world = World::counted_with(Settings::default()).await;
    let image = world.push_image().await;
    let made = world.attest(request(&image, 1)).await;
    let id = made.body["id"].as_str().unwrap();
    let read = world.get(&format!("/v1/signatures/{id}")).await;
    assert_eq!(read.body["state"], "attached");
    assert_eq!(read.body["predicate_type"], "https://example.com/test/v1");
    let question = json!({"image": image, "key": world.key, "predicate_type": "https://example.com/test/v1"});
    let verified = world.post("/v1/verifications", &world.token, question.to_string()).await;
    assert_eq!(verified.body["state"], "signed", "{verified:?}");
}
