//! `POST /v1/blobs`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signet::domain::{Content, HashAlgorithm, PublicKey, SigningInput};

use crate::support::proxy::signing_calls;
use crate::support::servers::KeyForm;
use crate::support::world::Settings;
use crate::support::{Answer, World};

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// Whether the signature of `answer` is that of this world's key over `content`.
async fn verifies(world: &World, answer: &Answer, hash: HashAlgorithm, content: &'static str) -> bool {
    let version = answer.body["key"]["version"].as_u64().unwrap();
    let key = PublicKey::from_pem(&world.public_key(version.try_into().unwrap()).await).unwrap();
    let input = SigningInput::of(key.key_type(), hash, &Content::from(content));
    key.verifies(&input, &STANDARD.decode(answer.body["signature"].as_str().unwrap()).unwrap())
}

#[tokio::test]
async fn a_digest_and_the_content_are_the_same_file_and_signed_once() {
    let world = World::counted().await;
    let by_digest =
        json!({"digest": digest(b"content"), "name": "values.yaml", "media_type": "application/yaml"});
    let mut by_content = by_digest.clone();
    by_content.as_object_mut().unwrap().remove("digest");
    by_content["content"] = STANDARD.encode("content").into();

    let first = world.sign_blob(by_digest.clone()).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert!(verifies(&world, &first, HashAlgorithm::Sha256, "content").await);
    assert_eq!(first.body["digest"], digest(b"content"));
    assert_eq!(first.body["name"], "values.yaml");
    let bundle = &first.body["bundle"];
    assert_eq!(bundle["messageSignature"]["signature"], first.body["signature"]);
    assert_eq!(bundle["messageSignature"]["messageDigest"]["algorithm"], "SHA2_256");
    assert_eq!(
        bundle["messageSignature"]["messageDigest"]["digest"],
        STANDARD.encode(Sha256::digest("content"))
    );

    for request in [by_digest, by_content] {
        let again = world.sign_blob(request).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.body, first.body);
    }
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);
    assert!(world.registry_proxy.take_calls().is_empty());
}

#[tokio::test]
async fn another_name_media_type_or_key_version_is_another_signature() {
    let world = World::counted().await;
    let file = json!({"digest": digest(b"content")});
    let with = |name: &str, value: &str| {
        let mut request = file.clone();
        request[name] = value.into();
        request
    };
    let requests = [file.clone(), with("name", "a"), with("name", "b"), with("media_type", "text/plain")];
    for request in &requests {
        assert_eq!(world.sign_blob(request.clone()).await.status, 201, "{request}");
    }
    world.rotate().await;
    let mut newer = file.clone();
    newer["key_version"] = 2.into();
    assert_eq!(world.sign_blob(newer).await.status, 201);
    let mut older = file;
    older["key_version"] = 1.into();
    assert_eq!(world.sign_blob(older).await.status, 200);
}

#[tokio::test]
async fn the_log_speaks_of_the_file_and_of_no_repository() {
    let world = World::counted().await;
    let answer = world.sign_blob(json!({"digest": digest(b"content"), "name": "chart.tgz"})).await;
    let entries = world.entries(&format!("digest={}", digest(b"content"))).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["intent", "outcome"]);
    for entry in &entries {
        assert_eq!((&entry["operation"], &entry["repository"]), (&json!("blob"), &Value::Null));
        assert_eq!(entry["claim"], json!({"type": "blob", "name": "chart.tgz"}));
    }
    let id = answer.body["id"].as_str().unwrap();
    let read = world.get(&format!("/v1/signatures/{id}")).await;
    assert_eq!((read.status.as_u16(), &read.body["state"]), (200, &json!("signed")), "{read:?}");
}

#[tokio::test]
async fn an_ed25519_key_signs_the_content_and_no_digest() {
    let key = KeyForm { key_type: "ed25519", ..KeyForm::default() };
    let world = World::counted_with(Settings { key, ..Settings::default() }).await;
    let answer = world.refused_at(
        "/v1/blobs",
        json!({"digest": digest(b"x")}).to_string(),
        400,
        "digest-unsupported-for-key",
    );
    assert!(answer.await.detail().contains("Send `content`"));
    let signed = world.sign_blob(json!({"content": STANDARD.encode("content")})).await;
    assert_eq!(signed.status, 201, "{signed:?}");
    assert!(verifies(&world, &signed, HashAlgorithm::Sha256, "content").await);

    let fits = json!({"content": STANDARD.encode(vec![0; 768 * 1024])});
    assert_eq!(world.sign_blob(fits).await.status, 201);
    let over = json!({"content": STANDARD.encode(vec![0; 768 * 1024 + 1])}).to_string();
    let answer = world.refused_at("/v1/blobs", over, 413, "payload-too-large").await;
    assert!(answer.detail().contains("786432"), "{}", answer.detail());
}

#[tokio::test]
async fn a_key_with_another_hash_signs_the_content_with_it_and_no_sha256_digest() {
    let key = KeyForm { hash: Some("sha2-384"), ..KeyForm::default() };
    let world = World::counted_with(Settings { key, ..Settings::default() }).await;
    let answer = world
        .refused_at(
            "/v1/blobs",
            json!({"digest": digest(b"x")}).to_string(),
            400,
            "digest-unsupported-for-key",
        )
        .await;
    assert!(answer.detail().contains("sha2-384"), "{}", answer.detail());
    let signed = world.sign_blob(json!({"content": STANDARD.encode("content")})).await;
    assert_eq!(signed.status, 201, "{signed:?}");
    assert!(verifies(&world, &signed, HashAlgorithm::Sha384, "content").await);
    let digest = &signed.body["bundle"]["messageSignature"]["messageDigest"];
    assert_eq!(digest["algorithm"], "SHA2_384");
    assert_eq!(digest["digest"], STANDARD.encode(sha2::Sha384::digest("content")));
}

#[tokio::test]
async fn files_need_a_rule_of_their_own_and_no_repository() {
    let mut world = World::counted().await;
    let policy = world.directory.path().join("policy.yaml");
    let rules = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, rules.replace("blob, ", "")).unwrap();
    world.restart();
    world.public_key(1).await;
    let request = json!({"digest": digest(b"x")}).to_string();
    world.refused_at("/v1/blobs", request.clone(), 403, "forbidden").await;
    let query = format!("digest={}&kind=refusal", digest(b"x"));
    let refusal = world.eventually("it is logged", async || world.entries(&query).await.pop()).await;
    assert_eq!(refusal["operation"], "blob");

    world.write_policy(&format!(
        "  - id: files\n    effect: allow\n    identity: {{token: outsider}}\n    keys: ['{}']\n    operations: [blob]\n",
        world.key
    ));
    world.restart();
    assert_eq!(world.post("/v1/blobs", &world.outsider, request).await.status, 201);
}
