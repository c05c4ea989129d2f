//! GHCR: whoever asks for referrers is sent to another host, which answers 429. It is not asked, and sees no credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use serde_json::json;

use super::{attempts, intents, writes};
use crate::support::attached::digest_of;
use crate::support::proxy::{Call, signing_calls};
use crate::support::token_host::TokenHost;
use crate::support::traps::is_referrers;
use crate::support::world::Settings;
use crate::support::{Fault, World, image, servers};

/// A world whose referrers are elsewhere, and how often somebody asked there.
async fn world(more: &[&str]) -> (World, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let count = asked.clone();
    let elsewhere = Router::new().fallback(move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        axum::http::StatusCode::TOO_MANY_REQUESTS
    });
    let location = format!("http://{}/", servers::serve(elsewhere));
    let tokens = TokenHost::start();
    let more = more.iter().map(|line| ("registries", (*line).to_owned()));
    let lines = tokens.lines().into_iter().chain(more).collect();
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    world.registry_proxy.break_with(move |call: &Call| {
        let redirect = || Fault::Answer {
            status: 303,
            headers: vec![("location", location.clone())],
            body: String::new(),
        };
        tokens.challenge(call).or_else(|| is_referrers(call).then(redirect))
    });
    (world, asked)
}

#[tokio::test]
async fn cosign_signatures_are_made_and_nobody_else_is_asked() {
    let (world, asked) = world(&[]).await;
    let image = world.push_image().await;
    for (format, status) in [(json!(null), 201), (json!("cosign"), 200)] {
        let mut request = json!({"image": image});
        if !format.is_null() {
            request["format"] = format;
        }
        let answer = world.sign(request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.body["signatures"][0]["format"], "cosign");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn which_bundles_there_are_can_not_be_told_so_that_none_is_made() {
    let (world, asked) = world(&[]).await;
    let image = world.push_image().await;
    world.take_all_calls();
    let answer = world.sign(json!({"image": image, "format": "bundle"})).await;
    world.assert_problem(&answer, 400, "format-unsupported");
    assert!(answer.detail().contains("to another host"), "{}", answer.detail());
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    assert!(writes(&world.registry_proxy.take_calls()).is_empty());
    assert_eq!((intents(&world, &image).await, asked.load(Ordering::SeqCst)), (0, 0));
}

/// What a writer of bundles left in the fallback index counts, and stays.
#[tokio::test]
async fn an_image_with_a_fallback_index_keeps_its_layout_and_its_entries() {
    let (world, asked) = world(&[]).await;
    let image = world.push_image().await;
    let foreign = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2, "digest": digest_of(&image),
        "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
    });
    let index = json!({"schemaVersion": 2, "mediaType": image::INDEX, "manifests": [foreign]});
    let tag = format!("sha256-{}", digest_of(&image).hex());
    let bytes = index.to_string().into_bytes();
    image::put_manifest(&world.client, &world.upstream(), &tag, image::INDEX, bytes).await;
    let answer = world.sign(json!({"image": image, "format": "cosign"})).await;
    world.assert_problem(&answer, 409, "layout-conflict");
    let (_, index) = world.tagged(&image, &tag).await.unwrap();
    assert_eq!(index["manifests"], json!([foreign]));
    assert!(attempts(&world, &image).await.is_empty());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn with_the_tag_alone_bundles_are_possible() {
    let (world, asked) = world(&["referrers = 'tag'"]).await;
    let image = world.push_image().await;
    for status in [201, 200] {
        assert_eq!(world.sign(json!({"image": image, "format": "bundle"})).await.status, status);
    }
    let tag = format!("sha256-{}", digest_of(&image).hex());
    let (_, index) = world.tagged(&image, &tag).await.unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
