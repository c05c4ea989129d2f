//! `POST /v1/attestations`: bodies that are no request, and predicates that are none of their type.

use reqwest::Body;
use serde_json::{Value, json};

use super::with;
use crate::support::World;
use crate::support::servers::KeyForm;
use crate::support::world::Settings;

const PATH: &str = "/v1/attestations";

/// A request that would be attested, had nobody changed it.
async fn good_request(world: &World) -> Value {
    json!({
        "image": world.push_image().await, "predicate_type": "custom", "predicate": {"a": 1},
        "key": world.key, "key_version": 1, "format": "cosign", "replace": false,
    })
}

#[tokio::test]
async fn a_wrong_field_is_named_with_what_would_be_right() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let without = |name: &str| {
        let mut request = good.clone();
        request.as_object_mut().unwrap().remove(name);
        request.to_string()
    };
    let raw = |predicate: &str| good.to_string().replace(r#"{"a":1}"#, predicate);
    for (body, words) in [
        (String::new(), ["JSON", ""]),
        ("[]".to_owned(), ["a map", "predicate_type"]),
        ("{} {}".to_owned(), ["JSON", ""]),
        (without("predicate"), ["predicate", "missing"]),
        (without("predicate_type"), ["predicate_type", "missing"]),
        (without("image"), ["image", "missing"]),
        (with(&good, "predicat", json!({})), ["predicat", "predicate"]),
        (with(&good, "predicateType", "custom"), ["predicateType", "predicate_type"]),
        (with(&good, "annotations", json!({})), ["annotations", "unknown key"]),
        (with(&good, "predicate_type", 7), ["predicate_type", "string"]),
        (with(&good, "replace", "yes"), ["replace", "true or false"]),
        (with(&good, "key_version", "1"), ["key_version", "integer"]),
        (with(&good, "key_version", 0), ["key_version", "from 1"]),
        (with(&good, "key", "../release"), ["`key`", "128"]),
        (raw("1} {"), ["JSON", ""]),
        (raw(r#"{"a":1},"predicate":{"a":1}"#), ["predicate", "twice"]),
        (raw("{\"a\": tru}"), ["JSON", ""]),
    ] {
        let answer = world.refused_at(PATH, body.clone(), 400, "invalid-request").await;
        let detail = answer.detail();
        assert!(words.iter().all(|word| detail.contains(word)), "{body}: {detail}");
        assert!(detail.len() < 400, "{detail}");
    }
    world.refused_at(PATH, with(&good, "format", "x509"), 400, "format-unsupported").await;
    let tag = good["image"].as_str().unwrap().split('@').next().unwrap().to_owned() + ":latest";
    world.refused_at(PATH, with(&good, "image", tag), 400, "digest-required").await;
    world.refused_at(PATH, with(&good, "key", "no-such-key"), 404, "key-not-found").await;
}

#[tokio::test]
async fn a_predicate_type_is_a_short_name_or_a_uri_and_not_that_of_signatures() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let long = format!("https://example.com/{}", "a".repeat(1024));
    for predicate_type in ["", "sbom", "SPDX", "example.com/x", "urn:a b", "urn:\u{e9}", "urn:\n", &long] {
        let body = with(&good, "predicate_type", predicate_type);
        let answer = world.refused_at(PATH, body, 400, "invalid-request").await;
        let detail = answer.detail();
        assert!(detail.contains("`predicate_type`") && detail.contains("`cyclonedx`"), "{detail}");
    }
    let signature = with(&good, "predicate_type", "https://sigstore.dev/cosign/sign/v1");
    let answer = world.refused_at(PATH, signature, 400, "invalid-request").await;
    assert!(answer.detail().contains("/v1/signatures"), "{}", answer.detail());
}

#[tokio::test]
async fn a_predicate_that_is_not_what_its_type_says_is_refused_with_the_place() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let twice = r#"{"x":[{"b":1,"b":2}]}"#;
    for (predicate_type, predicate, place) in [
        ("custom", "null", "`predicate`"),
        ("custom", "[]", "`predicate`"),
        ("custom", "\"text\"", "`predicate`"),
        ("custom", "7", "`predicate`"),
        ("https://example.com/any", "[{}]", "`predicate`"),
        ("https://example.com/any", twice, "`predicate.x[0].b`"),
        ("custom", r#"{"x":1e999}"#, "`predicate.x`"),
        ("custom", r#"{"x":"\ud800"}"#, "`predicate.x`"),
        ("cyclonedx", "{}", "`bomFormat` and `specVersion`"),
        ("https://cyclonedx.org/bom", r#"{"bomFormat":"SPDX","specVersion":"1"}"#, "`predicate.bomFormat`"),
        ("spdx", "{}", "`@graph`"),
        ("slsaprovenance", r#"{"builder":{"id":1},"buildType":"t"}"#, "`predicate.builder.id`"),
        ("slsaprovenance1", r#"{"buildDefinition":{}}"#, "`predicate.buildDefinition`"),
        (
            "vuln",
            r#"{"scanner":{"uri":"","result":{}},"metadata":{"scanStartedOn":"now"}}"#,
            "`predicate.metadata.scanStartedOn`",
        ),
        ("openvex", r#"{"@context":"https://example.com"}"#, "`predicate.@context`"),
        ("link", r#"{"products":[]}"#, "`predicate.products`"),
    ] {
        let request = with(&good, "predicate_type", predicate_type);
        let body = request.replace(r#"{"a":1}"#, predicate);
        let answer = world.refused_at(PATH, body, 400, "invalid-request").await;
        assert!(answer.detail().contains(place), "{predicate}: {}", answer.detail());
    }
}

#[tokio::test]
async fn a_predicate_nested_ten_thousand_deep_is_refused_and_costs_no_stack() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for depth in [100, 10_000, 1_000_000] {
            let nest = format!(r#"{{"a":{}1{}}}"#, open.repeat(depth), close.repeat(depth));
            let body = good.to_string().replace(r#"{"a":1}"#, &nest);
            let answer = world.refused_at(PATH, body, 400, "invalid-request").await;
            let detail = answer.detail();
            assert!(detail.contains("deeper than 100") && detail.len() < 400, "{detail}");
        }
    }
    // Around the predicate nothing is nested.
    let body = with(&good, "image", "x").replace(r#""x""#, &("[".repeat(10_000) + &"]".repeat(10_000)));
    world.refused_at(PATH, body, 400, "invalid-request").await;
}

#[tokio::test]
async fn sixteen_mebibytes_are_attested_and_more_are_too_large_with_and_without_their_length() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let sized = |bytes: usize| {
        let predicate = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
        assert_eq!(predicate.len(), bytes);
        good.to_string().replace(r#"{"a":1}"#, &predicate)
    };
    let over = sized(16 * 1024 * 1024 + 1);
    let answer = world.refused_at(PATH, over, 413, "payload-too-large").await;
    assert!(answer.detail().contains("16777216"), "{}", answer.detail());

    let far_over = sized(17 * 1024 * 1024);
    world.refused_at(PATH, far_over.clone(), 413, "payload-too-large").await;
    let bytes = far_over.into_bytes();
    let chunks = bytes.chunks(64 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()));
    let chunked = Body::wrap_stream(futures::stream::iter(chunks.collect::<Vec<_>>()));
    world.refused_at(PATH, chunked, 413, "payload-too-large").await;

    let answer = world.post(PATH, &world.token, sized(16 * 1024 * 1024)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn what_an_ed25519_key_can_not_sign_is_said_before_vault_is_asked() {
    let key = KeyForm { key_type: "ed25519", ..KeyForm::default() };
    let world = World::counted_with(Settings { key, ..Settings::default() }).await;
    let good = good_request(&world).await;
    let sized = |bytes: usize| {
        let predicate = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes));
        good.to_string().replace(r#"{"a":1}"#, &predicate)
    };
    let answer = world.refused_at(PATH, sized(768 * 1024), 413, "payload-too-large").await;
    let detail = answer.detail();
    assert!(detail.contains("786432") && detail.contains("another type"), "{detail}");
    assert_eq!(world.post(PATH, &world.token, sized(767 * 1024)).await.status, 201);
}

#[tokio::test]
async fn a_body_that_stops_in_its_middle_gives_its_room_back() {
    let settings = Settings {
        lines: vec![
            ("limits", "request_timeout = '500ms'".to_owned()),
            ("limits", "bytes_in_flight = 1024".to_owned()),
        ],
        ..Settings::default()
    };
    let world = World::counted_with(settings).await;
    let stalled = futures::StreamExt::chain(
        futures::stream::iter([Ok::<_, std::io::Error>(b"{\"image\": ".to_vec())]),
        futures::stream::pending(),
    );
    let request = world.client.post(format!("{}{PATH}", world.signet.api)).bearer_auth(&world.token);
    let stalled = request.body(Body::wrap_stream(stalled)).send().await.unwrap();
    world.assert_problem(&crate::support::Answer::read(stalled).await, 408, "timeout");
    let body = good_request(&world).await.to_string();
    assert_eq!(world.post(PATH, &world.token, body).await.status, 201);
}
