//! `POST /v1/blobs`: bodies that are no request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::with;
use crate::support::World;

const PATH: &str = "/v1/blobs";

fn good_request(world: &World) -> Value {
    json!({
        "digest": format!("sha256:{}", "a".repeat(64)), "name": "n", "media_type": "text/plain",
        "key": world.key, "key_version": 1,
    })
}

#[tokio::test]
async fn a_wrong_field_is_named_with_what_would_be_right() {
    let world = World::counted().await;
    let good = good_request(&world);
    let content = |value: Value| {
        let mut request = json!({ "key": world.key });
        request["content"] = value;
        request.to_string()
    };
    let hex = "a".repeat(64);
    for (body, words) in [
        (String::new(), ["JSON", ""]),
        ("[]".to_owned(), ["a map", "digest"]),
        ("{}".to_owned(), ["`digest`", "`content`"]),
        (with(&good, "content", "YQ=="), ["one of", "not both"]),
        (with(&good, "digst", "x"), ["digst", "digest"]),
        (with(&good, "digest", 7), ["digest", "string"]),
        (with(&good, "digest", hex.clone()), ["`digest`", "sha256:"]),
        (with(&good, "digest", format!("sha512:{hex}{hex}")), ["`digest`", "sha256"]),
        (with(&good, "digest", "sha256:abc"), ["`digest`", "64"]),
        (with(&good, "digest", format!("sha256:{}", hex.to_uppercase())), ["`digest`", "lower-case"]),
        (content("YQ".into()), ["`content`", "base64"]),
        (content("_-_-".into()), ["`content`", "base64"]),
        (content("YQ==\n".into()), ["`content`", "base64"]),
        (content(json!(["a"])), ["content", "string"]),
        (with(&good, "name", ""), ["`name`", "1024"]),
        (with(&good, "name", "n".repeat(1025)), ["`name`", "1024"]),
        (with(&good, "name", "a\nb"), ["`name`", "control"]),
        (with(&good, "media_type", "yaml"), ["`media_type`", "application/json"]),
        (with(&good, "media_type", "a/b/c"), ["`media_type`", "application/json"]),
        (with(&good, "media_type", "text/plain\r\nx: y"), ["`media_type`", "application/json"]),
        (with(&good, "media_type", format!("text/{}", "x".repeat(255))), ["`media_type`", "255"]),
        (with(&good, "key_version", 0), ["key_version", "from 1"]),
        (with(&good, "image", "x"), ["image", "unknown key"]),
    ] {
        let answer = world.refused_at(PATH, body.clone(), 400, "invalid-request").await;
        let detail = answer.detail();
        assert!(words.iter().all(|word| detail.contains(word)), "{body}: {detail}");
        assert!(detail.len() < 400, "{detail}");
    }
    world.refused_at(PATH, with(&good, "key", "no-such-key"), 404, "key-not-found").await;
}

#[tokio::test]
async fn values_at_their_limits_are_signed() {
    let world = World::counted().await;
    let good = good_request(&world);
    for body in [
        with(&good, "name", "n".repeat(1024)),
        with(&good, "media_type", format!("text/{}", "x".repeat(250))),
        with(&good, "media_type", "text/plain; charset=utf-8"),
        json!({"content": ""}).to_string(),
    ] {
        assert_eq!(world.post(PATH, &world.token, body).await.status, 201);
    }
}

#[tokio::test]
async fn four_mebibytes_are_signed_and_more_are_too_large() {
    let world = World::counted().await;
    let sized = |bytes: usize| json!({"content": STANDARD.encode(vec![7; bytes])}).to_string();
    let limit = 4 * 1024 * 1024;
    for bytes in [limit + 1, 5 * 1024 * 1024] {
        let answer = world.refused_at(PATH, sized(bytes), 413, "payload-too-large").await;
        assert!(bytes > limit + 1 || answer.detail().contains("`digest`"), "{}", answer.detail());
    }
    assert_eq!(world.post(PATH, &world.token, sized(limit)).await.status, 201);
}
