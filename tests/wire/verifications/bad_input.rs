//! What can not be verified because of how it is asked.

use serde_json::{Value, json};

use crate::support::World;

const PATH: &str = "/v1/verifications";

async fn good_request(world: &World) -> Value {
    json!({"image": world.push_image().await, "key": world.key})
}

#[tokio::test]
async fn a_wrong_request_is_refused_before_the_registry_hears_of_it() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    let (repository, image) = (&world.repository, good["image"].as_str().unwrap());
    let long = "v".repeat(17 * 1024);
    let cases = [
        ("image", json!(null), "invalid-request"),
        ("image", json!(format!("{repository}:latest")), "digest-required"),
        (
            "image",
            json!("unknown.example.com/app@".to_owned() + &image[image.len() - 71..]),
            "invalid-request",
        ),
        ("key", json!(null), "invalid-request"),
        ("key", json!(7), "invalid-request"),
        ("key", json!("../x"), "invalid-request"),
        ("key_version", json!(0), "invalid-request"),
        ("key_version", json!(-1), "invalid-request"),
        ("key_version", json!("1"), "invalid-request"),
        ("annotations", json!([]), "invalid-request"),
        ("annotations", json!({"": "v"}), "invalid-request"),
        ("annotations", json!({"k": "a\u{0}b"}), "invalid-request"),
        ("predicate_type", json!(""), "invalid-request"),
        ("predicate_type", json!("no uri"), "invalid-request"),
        ("predicate_type", json!("https://example.com/".to_owned() + &long), "invalid-request"),
        ("predicate_typ", json!("spdx"), "invalid-request"),
        ("format", json!("cosign"), "invalid-request"),
    ];
    for (name, value, code) in cases {
        let mut request = good.clone();
        request[name] = value;
        world.refused_at(PATH, request.to_string(), 400, code).await;
    }
    let mut request = good.clone();
    request["annotations"] = json!({"k": long});
    world.refused_at(PATH, request.to_string(), 413, "payload-too-large").await;
    world.refused_at(PATH, "{", 400, "invalid-request").await;
}

#[tokio::test]
async fn a_key_or_a_version_that_does_not_exist_is_404() {
    let world = World::counted().await;
    world.write_policy(&format!(
        "  - id: more\n    effect: allow\n    identity: {{token: ci}}\n    repositories: ['{}']\n    keys: [other]\n    operations: [verify]\n",
        world.repository
    ));
    let mut world = world;
    world.restart();
    world.public_key(1).await;
    let good = good_request(&world).await;
    let mut other = good.clone();
    other["key"] = json!("other");
    world.refused_at(PATH, other.to_string(), 404, "key-not-found").await;
    let mut next = good;
    next["key_version"] = json!(2);
    world.refused_at(PATH, next.to_string(), 404, "key-version-unavailable").await;
}

#[tokio::test]
async fn verifying_needs_a_rule_of_its_own() {
    let mut world = World::counted().await;
    let good = good_request(&world).await.to_string();
    let answer = world.post(PATH, &world.outsider, good.clone()).await;
    world.assert_problem(&answer, 403, "forbidden");
    world.assert_untouched();
    // Whoever may sign may not therefore verify, and the other way round.
    world.write_policy(&format!(
        "  - id: signs\n    effect: allow\n    identity: {{token: outsider}}\n    repositories: ['{}']\n    keys: ['{}']\n",
        world.repository, world.key
    ));
    world.restart();
    world.public_key(1).await;
    world.assert_problem(&world.post(PATH, &world.outsider, good.clone()).await, 403, "forbidden");
    assert_eq!(world.post("/v1/signatures", &world.outsider, good).await.status, 201);
}
