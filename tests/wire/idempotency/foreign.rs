//! What somebody else put where signatures belong.

use serde_json::json;
use signet::format::dsse;

use super::{FORMATS, assert_found, assert_made, entries, sign};
use crate::support::World;
use crate::support::proxy::signing_calls;

#[tokio::test]
async fn planted_junk_with_our_payload_is_not_taken_for_a_signature() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let payload = world.payload(&image, &[]);
    let of_another_text = world.vault_signature(b"something else").await;
    let junk = [of_another_text, b"no signature".to_vec(), Vec::new()];
    world.plant_layers(&image, &payload, &junk).await;
    let planted = world.layers(&image).await;
    assert_made(&sign(&world, &image, "cosign").await);
    let layers = world.layers(&image).await;
    assert_eq!(layers.len(), 4);
    assert_eq!(layers[..3], planted[..], "what was there stays there");
    assert_found(&sign(&world, &image, "cosign").await);
    assert!(entries(&world, &image, "adopted").await.is_empty());
}

#[tokio::test]
async fn a_planted_bundle_that_does_not_verify_or_says_something_else_is_not_taken_for_a_signature() {
    let world = World::counted().await;
    let (image, other) = (world.push_image().await, world.push_image().await);
    let statement = world.statement(&image, &[]);
    let of_another_text = world.vault_signature(b"something else").await;
    world.plant_bundle(&image, &statement, &of_another_text).await;
    // Genuine, and about something else.
    for statement in [world.statement(&other, &[]), world.statement(&image, &[("k", "v")])] {
        let signed = dsse::pre_authentication_encoding(dsse::IN_TOTO, &statement.clone().into()).to_bytes();
        let signature = world.vault_signature(&signed).await;
        let bundles = world.bundles(&image).await.len();
        world.plant_bundle(&image, &statement, &signature).await;
        assert_eq!(world.bundles(&image).await.len(), bundles + 1);
    }
    assert_made(&sign(&world, &image, "bundle").await);
    assert_eq!(world.bundles(&image).await.len(), 4);
    assert!(entries(&world, &image, "adopted").await.is_empty());
}

#[tokio::test]
async fn a_genuine_payload_for_another_repository_is_not_taken_for_a_signature() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let payload = world.payload(&image.replace("/team/app", "/team/other"), &[]);
    world.plant_layers(&image, &payload, &[world.vault_signature(&payload).await]).await;
    assert_made(&sign(&world, &image, "cosign").await);
    assert_eq!(world.layers(&image).await.len(), 2);
}

#[tokio::test]
async fn a_genuine_signature_that_the_log_does_not_know_is_adopted_once() {
    let world = World::counted().await;
    for format in FORMATS {
        let image = world.push_image().await;
        let annotations = [("commit", "c0ffee"), ("é", "<&>")];
        plant_genuine(&world, &image, format, &annotations).await;
        world.take_all_calls();
        let request = json!({"image": image, "annotations": {"commit": "c0ffee", "é": "<&>"}});
        let first = world.sign(request.clone()).await;
        assert_found(&first);
        // Before the answer, not soon after it.
        let adopted = entries(&world, &image, "adopted").await;
        assert_eq!(adopted.len(), 1, "{format}");
        assert_eq!(adopted[0]["id"], first.body["id"]);
        assert_eq!(adopted[0]["principal"], "token:ci");
        assert_eq!(adopted[0]["signature"], first.body["signatures"][0]["signature"]);
        assert_eq!(adopted[0]["manifest"], first.body["signatures"][0]["manifest"]);

        let again = world.sign(request).await;
        assert_found(&again);
        assert_eq!(again.body["id"], first.body["id"]);
        assert_eq!(entries(&world, &image, "adopted").await.len(), 1, "{format}");
        assert_eq!(world.signatures(&image).await, 1);
        assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
        let id = first.body["id"].as_str().unwrap();
        assert_eq!(world.get(&format!("/v1/signatures/{id}")).await.body["state"], "attached");
        // Other annotations are another signature, beside it.
        assert_made(&world.sign(json!({"image": image, "annotations": {"commit": "decaf"}})).await);
        assert_eq!(world.signatures(&image).await, 2);
    }
}

#[tokio::test]
async fn a_genuine_signature_among_junk_is_found() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let payload = world.payload(&image, &[]);
    let genuine = world.vault_signature(&payload).await;
    world.plant_layers(&image, &payload, &[b"junk".to_vec(), genuine, b"more".to_vec()]).await;
    assert_found(&sign(&world, &image, "cosign").await);
    assert_eq!(world.layers(&image).await.len(), 3);
}

#[tokio::test]
async fn what_somebody_took_away_is_attached_again_and_not_signed_again() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let first = sign(&world, &image, "cosign").await;
    assert_made(&first);
    let payload = world.payload(&image, &[("other", "signature")]);
    world.plant_layers(&image, &payload, &[world.vault_signature(&payload).await]).await;
    assert_eq!(world.layers(&image).await.len(), 1, "somebody has overwritten ours");
    world.take_all_calls();
    let again = sign(&world, &image, "cosign").await;
    assert_made(&again);
    assert_eq!(again.body["id"], first.body["id"]);
    assert_eq!(again.body["signatures"][0]["signature"], first.body["signatures"][0]["signature"]);
    assert!(world.vault_proxy.take_calls().is_empty());
    assert_eq!(world.layers(&image).await.len(), 2);
}

/// Has Vault sign past Signet, and attaches that as somebody else would.
async fn plant_genuine(world: &World, image: &str, format: &str, annotations: &[(&str, &str)]) {
    if format == "cosign" {
        let payload = world.payload(image, annotations);
        return world.plant_layers(image, &payload, &[world.vault_signature(&payload).await]).await;
    }
    let statement = world.statement(image, annotations);
    let signed = dsse::pre_authentication_encoding(dsse::IN_TOTO, &statement.clone().into()).to_bytes();
    world.plant_bundle(image, &statement, &world.vault_signature(&signed).await).await;
}
