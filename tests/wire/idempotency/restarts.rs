//! What a Signet knows that has just started.

use serde_json::json;

use super::{FORMATS, assert_found, assert_made, entries, sign};
use crate::support::proxy::{is_signing, signing_calls};
use crate::support::{Fault, World};

#[tokio::test]
async fn after_a_restart_the_same_request_finds_the_same_signature() {
    let mut world = World::counted().await;
    for format in FORMATS {
        let image = world.push_image().await;
        let first = sign(&world, &image, format).await;
        assert_made(&first);
        world.restart();
        world.public_key(1).await;
        world.take_all_calls();
        let again = sign(&world, &image, format).await;
        assert_found(&again);
        let place = |answer: &crate::support::Answer| {
            (answer.body["id"].clone(), answer.body["log"]["index"].clone())
        };
        assert_eq!(place(&again), place(&first));
        assert_eq!(again.body["signed_at"], first.body["signed_at"]);
        assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
        assert!(entries(&world, &image, "adopted").await.is_empty());
    }
}

#[tokio::test]
async fn without_its_log_it_adopts_what_it_signed_before() {
    let mut world = World::counted().await;
    let mut images = Vec::new();
    for format in FORMATS {
        let image = world.push_image().await;
        let first = sign(&world, &image, format).await;
        assert_made(&first);
        images.push((format, image, first));
    }
    world.signet.kill();
    for file in ["signet.db", "signet.db-wal", "signet.db-shm"] {
        let _ = std::fs::remove_file(world.directory.path().join(file));
    }
    world.serve();
    world.public_key(1).await;
    world.take_all_calls();
    for (format, image, first) in images {
        let again = sign(&world, &image, format).await;
        assert_found(&again);
        assert_eq!(again.body["signatures"][0]["signature"], first.body["signatures"][0]["signature"]);
        assert_eq!(entries(&world, &image, "adopted").await.len(), 1, "{format}");
        assert_found(&sign(&world, &image, format).await);
        assert_eq!(entries(&world, &image, "adopted").await.len(), 1, "{format}");
        assert_eq!(world.signatures(&image).await, 1);
    }
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
}

#[tokio::test]
async fn after_a_crash_while_vault_signs_the_log_shows_the_intent_and_the_request_can_be_made_again() {
    let mut world = World::counted().await;
    let image = world.push_image().await;
    world.vault_proxy.break_with(|call| is_signing(call).then_some(Fault::Hang));
    let request = world.client.post(format!("{}/v1/signatures", world.signet.api)).bearer_auth(&world.token);
    let request = tokio::spawn(request.body(json!({"image": image}).to_string()).send());
    let asked = async || (!signing_calls(&world.vault_proxy.calls()).is_empty()).then_some(());
    world.eventually("Vault is asked", asked).await;
    world.signet.kill();
    assert!(request.await.unwrap().is_err());
    world.vault_proxy.mend();
    world.serve();
    let intents = entries(&world, &image, "intent").await;
    assert_eq!(intents.len(), 1, "the intent was durable before Vault was asked");
    let path = format!("/v1/signatures/{}", intents[0]["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await.body["state"], "pending");
    assert_made(&world.sign_image(&image).await);
    assert_eq!(world.signatures(&image).await, 1);
}
