//! `POST /v1/signatures`: bodies that are no request.

use reqwest::Body;
use serde_json::{Value, json};

use super::{good_request, with};
use crate::support::{Answer, World};

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_and_says_so() {
    let world = World::counted().await;
    let nested = format!(r#"{{"image": {}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let bodies: [(&str, Vec<u8>); 11] = [
        ("nothing", Vec::new()),
        ("white space", b" \n".to_vec()),
        ("words", b"sign this".to_vec()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("a text", br#""image""#.to_vec()),
        ("a number", b"7".to_vec()),
        ("half an object", br#"{"image": "x""#.to_vec()),
        ("two objects", b"{} {}".to_vec()),
        ("no UTF-8", b"{\"image\": \"\xff\xfe\"}".to_vec()),
        ("10,000 lists in each other", nested.into_bytes()),
    ];
    for (name, body) in bodies {
        let answer = world.refused(body, 400, "invalid-request").await;
        assert!(answer.detail().len() < 300, "{name}: {}", answer.detail());
    }
}

#[tokio::test]
async fn a_wrong_field_is_named_with_what_would_be_right() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let image = good["image"].as_str().unwrap();
    let twice = format!(r#"{{"image": "{image}", "image": "{image}"}}"#);
    let twice_deeper = format!(r#"{{"image": "{image}", "annotations": {{"k": "a", "k": "b"}}}}"#);
    for (body, words) in [
        (with(&good, "anotations", json!({})), ["anotations", "annotations"]),
        (with(&good, "Image", "x"), ["Image", "image"]),
        (with(&good, "keyversion", 1), ["keyversion", "key_version"]),
        (with(&good, "frobnicate", 1), ["frobnicate", ""]),
        (twice, ["image", "twice"]),
        (twice_deeper, ["annotations", "twice"]),
        (json!({"key": world.key}).to_string(), ["image", "missing"]),
        (with(&good, "image", 7), ["image", "string"]),
        (with(&good, "image", Value::Null), ["image", "string"]),
        (with(&good, "key", json!(["a"])), ["key", "string"]),
        (with(&good, "key_version", "1"), ["key_version", "integer"]),
        (with(&good, "key_version", -1), ["key_version", "integer"]),
        (with(&good, "key_version", 1.5), ["key_version", "integer"]),
        (with(&good, "key_version", 4_294_967_296_u64), ["key_version", "integer"]),
        (with(&good, "recursive", "yes"), ["recursive", "true or false"]),
        (with(&good, "annotations", json!(["a"])), ["annotations", "a map"]),
    ] {
        let answer = world.refused(body.clone(), 400, "invalid-request").await;
        let detail = answer.detail();
        assert!(words.iter().all(|word| detail.contains(word)), "{body}: {detail}");
    }
}

#[tokio::test]
async fn a_value_that_can_not_be_meant_is_refused() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let long = "k".repeat(200);
    for (body, status, code, words) in [
        (with(&good, "format", "x509"), 400, "format-unsupported", ["x509", "`cosign` and `bundle`"]),
        (with(&good, "format", "COSIGN"), 400, "format-unsupported", ["COSIGN", "`cosign`"]),
        (with(&good, "format", ""), 400, "format-unsupported", ["``", "`cosign`"]),
        (with(&good, "format", "\u{1b}[2J"), 400, "format-unsupported", ["\\u{1b}[2J", "`cosign`"]),
        (with(&good, "key", "no-such-key"), 404, "key-not-found", ["no-such-key", "/v1/keys"]),
        (with(&good, "key", "../release"), 400, "invalid-request", ["`key`", "128"]),
        (with(&good, "key", ""), 400, "invalid-request", ["`key`", "128"]),
        (with(&good, "key", long), 400, "invalid-request", ["`key`", "128"]),
        (with(&good, "key_version", 0), 400, "invalid-request", ["key_version", "from 1"]),
    ] {
        let answer = world.refused(body.clone(), status, code).await;
        let detail = answer.detail();
        assert!(words.iter().all(|word| detail.contains(word)), "{body}: {detail}");
    }
}

#[tokio::test]
async fn a_body_of_two_mebibytes_is_too_large_with_and_without_its_length() {
    let world = World::counted().await;
    let body = vec![b' '; 2 * 1024 * 1024];
    world.refused(body.clone(), 413, "payload-too-large").await;
    let chunks = body.chunks(16 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()));
    let chunked = Body::wrap_stream(futures::stream::iter(chunks.collect::<Vec<_>>()));
    let answer = world.refused(chunked, 413, "payload-too-large").await;
    assert!(answer.detail().contains("1048576"), "{}", answer.detail());
    world.refused_at("/v1/signatures:batch", body.clone(), 413, "payload-too-large").await;
    // Whoever is refused for another reason hears of that while the body is still under way.
    for _ in 0..10 {
        world.refused_at("/no/such", body.clone(), 404, "not-found").await;
        let answer = world.post("/v1/signatures", "wrong", body.clone()).await;
        world.assert_problem(&answer, 401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_body_that_stops_in_its_middle_is_not_waited_for_without_end() {
    let settings = crate::support::world::Settings {
        lines: vec![("limits", "request_timeout = '300ms'".to_owned())],
        ..Default::default()
    };
    let world = World::counted_with(settings).await;
    let stalled = futures::StreamExt::chain(
        futures::stream::iter([Ok::<_, std::io::Error>(b"{\"image\": ".to_vec())]),
        futures::stream::pending(),
    );
    let request = world.client.post(format!("{}/v1/signatures", world.signet.api)).bearer_auth(&world.token);
    let answer = Answer::read(request.body(Body::wrap_stream(stalled)).send().await.unwrap()).await;
    world.assert_problem(&answer, 408, "timeout");
    world.assert_untouched();
}
