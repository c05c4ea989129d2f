//! A key is rotated in Vault: what was signed before verifies as before, and what is signed after with the new version.

use reqwest::Method;
use serde_json::{Value, json};

use crate::clients::{Clients, Layout};
use crate::registries::{on_each_registry, world_with};
use crate::support::World;
use crate::support::world::Settings;
use crate::upstream::{Upstream, digest_of};

on_each_registry!(each_signature_verifies_with_the_version_that_made_it);

async fn each_signature_verifies_with_the_version_that_made_it(registry: &'static str) {
    let lines = vec![("vault", "key_poll = '100ms'".to_owned())];
    let world = world_with(Settings { registry: Some(registry), lines, ..Settings::default() }).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    let mut before = Vec::new();
    for layout in Layout::ALL {
        let image = clients.push_image(&upstream.repository).await;
        sign(&world, &image, layout).await;
        before.push(image);
    }

    world.vault_call(Method::POST, &format!("transit/keys/{}/rotate", world.key), json!({})).await;
    world
        .eventually("Signet knows version 2", async || {
            let key = world.get(&format!("/v1/keys/{}", world.key)).await.body;
            (key["versions"].as_array()?.len() == 2).then_some(())
        })
        .await;
    let (first, second) = (world.public_key(1).await, world.public_key(2).await);
    let both = world.get(&format!("/v1/keys/{}/public-keys", world.key)).await;
    let both = both.body.as_str().unwrap().to_owned();
    assert_eq!(both, [&*second, &*first].concat());
    for (layout, image) in Layout::ALL.into_iter().zip(before) {
        clients.assert_verified(layout, &first, &image, &[]).await;
        clients.assert_refused(layout, &second, &image, &[]).await;
        // Of a file of several keys cosign reads the first alone, as docs/verifiers.md says.
        clients.assert_refused(layout, &both, &image, &[]).await;

        let after = clients.push_image(&upstream.repository).await;
        assert_eq!(sign(&world, &after, layout).await["key"]["version"], 2);
        clients.assert_verified(layout, &second, &after, &[]).await;
        clients.assert_refused(layout, &first, &after, &[]).await;
        clients.assert_verified(layout, &both, &after, &[]).await;

        // The same request as before the rotation: the old signature stays beside the new one.
        assert_eq!(sign(&world, &image, layout).await["key"]["version"], 2);
        clients.assert_verified(layout, &first, &image, &[]).await;
        clients.assert_verified(layout, &second, &image, &[]).await;
    }
}

async fn sign(world: &World, image: &str, layout: Layout) -> Value {
    let request = json!({"image": world.image(digest_of(image)), "format": layout.name()});
    let answer = world.sign(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}
