//! Versions that do not exist yet, or sign no more.

use reqwest::Method;
use serde_json::json;

use super::{good_request, with};
use crate::support::World;

#[tokio::test]
async fn a_version_that_does_not_exist_yet_is_409_and_names_those_that_do() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    for version in [2, u32::MAX] {
        world.take_all_calls();
        let answer = world.post("/v1/signatures", &world.token, with(&good, "key_version", version)).await;
        world.assert_problem(&answer, 409, "key-version-unavailable");
        assert!(answer.detail().contains("Versions 1 to 1"), "{}", answer.detail());
        // It could have been made a moment ago. Vault is asked that, and nothing else.
        let calls = world.vault_proxy.take_calls();
        assert_eq!(
            calls.iter().map(|call| &*call.path).collect::<Vec<_>>(),
            [format!("/v1/transit/keys/{}", world.key)]
        );
        world.assert_untouched();
    }
}

#[tokio::test]
async fn a_version_that_was_made_a_moment_ago_signs_and_is_published_then() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    world.rotate().await;
    let answer = world.post("/v1/signatures", &world.token, with(&good, "key_version", 2)).await;
    assert_eq!((answer.status.as_u16(), &answer.body["key"]["version"]), (201, &json!(2)), "{answer:?}");
    assert!(world.public_key(2).await.starts_with("-----BEGIN PUBLIC KEY-----"));
}

#[tokio::test]
async fn a_version_below_the_minimum_is_409_and_the_others_sign() {
    let mut world = World::counted().await;
    world.rotate().await;
    world.rotate().await;
    world.set_minimum(2).await;
    world.restart();
    world.public_key(3).await;
    let good = good_request(&world).await;
    let answer = world.refused(with(&good, "key_version", 1), 409, "key-version-unavailable").await;
    assert!(answer.detail().contains("Versions 2 to 3"), "{}", answer.detail());
    for version in [2, 3] {
        let answer = world.post("/v1/signatures", &world.token, with(&good, "key_version", version)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["key"]["version"]),
            (201, &json!(version)),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_minimum_that_rises_is_noticed_without_a_restart() {
    let settings = crate::support::world::Settings {
        lines: vec![("vault", "key_poll = '50ms'".to_owned())],
        ..Default::default()
    };
    let world = World::with(settings).await;
    world.rotate().await;
    world.set_minimum(2).await;
    world
        .eventually("version 1 is gone", async || {
            let key = world.get(&format!("/v1/keys/{}", world.key)).await;
            let signing = key.body["versions"].as_array().unwrap().iter();
            let signing = signing.filter(|version| version["state"] != "retired");
            signing.map(|version| version["version"].as_u64().unwrap()).eq([2]).then_some(())
        })
        .await;
    let good = good_request(&world).await;
    let answer = world.post("/v1/signatures", &world.token, with(&good, "key_version", 1)).await;
    world.assert_problem(&answer, 409, "key-version-unavailable");
}

#[tokio::test]
async fn a_version_that_vault_retired_a_moment_ago_is_409_too() {
    let world = World::counted().await;
    let good = good_request(&world).await;
    world.rotate().await;
    world.set_minimum(2).await;
    // Signet still believes in version 1. Vault does not, and is asked why.
    let answer = world.post("/v1/signatures", &world.token, with(&good, "key_version", 1)).await;
    world.assert_problem(&answer, 409, "key-version-unavailable");
    assert_eq!(world.signatures(good["image"].as_str().unwrap()).await, 0);
    // It has learnt from that.
    let answer = world.post("/v1/signatures", &world.token, good.to_string()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["key"]["version"]), (201, &json!(2)), "{answer:?}");
}

#[tokio::test]
async fn a_key_that_vault_has_no_more_is_404() {
    let world = World::counted().await;
    let path = format!("transit/keys/{}", world.key);
    world.vault_call(Method::POST, &format!("{path}/config"), json!({"deletion_allowed": true})).await;
    world.vault_call(Method::DELETE, &path, json!({})).await;
    let image = world.push_image().await;
    let answer = world.sign_image(&image).await;
    world.assert_problem(&answer, 404, "key-not-found");
    assert_eq!(world.signatures(&image).await, 0);
}
