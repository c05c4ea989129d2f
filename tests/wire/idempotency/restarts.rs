//! What a Signet knows that has just started.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;

use super::{FORMATS, assert_found, assert_made, entries, sign};
use crate::support::proxy::signing_calls;
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
        assert_eq!((&again.body["id"], &again.body["log"]), (&first.body["id"], &first.body["log"]));
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
async fn after_a_crash_between_signing_and_attaching_the_signature_is_attached_and_not_made_again() {
    for format in FORMATS {
        let mut world = World::counted().await;
        let image = world.push_image().await;
        world
            .registry_proxy
            .break_with(|call| (call.method == "POST").then(|| Fault::Gate(Arc::new(Semaphore::new(0)))));
        let request =
            world.client.post(format!("{}/v1/signatures", world.signet.api)).bearer_auth(&world.token);
        let request = request.body(json!({"image": image, "format": format}).to_string()).send();
        let request = tokio::spawn(request);
        let signed = async || (!entries(&world, &image, "outcome").await.is_empty()).then_some(());
        world.eventually("it is signed", signed).await;
        world.signet.kill();
        assert!(request.await.unwrap().is_err(), "nobody was told of a success");
        assert_eq!(world.signatures(&image).await, 0);

        world.registry_proxy.mend();
        world.serve();
        let answer = sign(&world, &image, format).await;
        assert_made(&answer);
        assert_eq!(world.signatures(&image).await, 1);
        assert_eq!(entries(&world, &image, "intent").await.len(), 1, "{format}");
        assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1, "{format}");
        assert_found(&sign(&world, &image, format).await);
    }
}

#[tokio::test]
async fn after_a_crash_while_vault_signs_the_log_shows_the_intent_and_the_request_can_be_made_again() {
    let mut world = World::counted().await;
    let image = world.push_image().await;
    world.vault_proxy.break_with(|call| call.path.contains("/sign/").then_some(Fault::Hang));
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
