//! One layout for an image's signatures and attestations together.

use serde_json::json;

use super::{assert_made, request, with};
use crate::support::World;
use crate::support::world::Settings;

/// A registry that gets bundles where an image has nothing.
async fn world_of_bundles() -> World {
    let lines = vec![("registries", "format = 'bundle'".to_owned())];
    World::counted_with(Settings { lines, ..Settings::default() }).await
}

#[tokio::test]
async fn an_attestation_follows_the_signature_that_is_there_and_a_signature_the_attestation() {
    let world = world_of_bundles().await;
    for layout in ["cosign", "bundle"] {
        let signed = world.push_image().await;
        assert_made(&world.sign(json!({"image": signed, "format": layout})).await);
        let answer = world.attest(request(&signed, 1)).await;
        assert_made(&answer);
        assert_eq!(answer.body["signatures"][0]["format"], layout);

        let attested = world.push_image().await;
        assert_made(&world.attest(with(request(&attested, 1), "format", layout)).await);
        let answer = world.sign_image(&attested).await;
        assert_made(&answer);
        assert_eq!(answer.body["signatures"][0]["format"], layout);
    }
}

#[tokio::test]
async fn the_other_layout_is_refused_before_anything_is_signed() {
    let world = World::counted().await;
    for (layout, other) in [("cosign", "bundle"), ("bundle", "cosign")] {
        let signed = world.push_image().await;
        assert_made(&world.sign(json!({"image": signed, "format": layout})).await);
        let attested = world.push_image().await;
        assert_made(&world.attest(with(request(&attested, 1), "format", layout)).await);
        world.take_all_calls();
        for image in [&signed, &attested] {
            let answer = world.attest(with(request(image, 2), "format", other)).await;
            world.assert_problem(&answer, 409, "layout-conflict");
            let answer = world.sign(json!({"image": image, "format": other})).await;
            world.assert_problem(&answer, 409, "layout-conflict");
        }
        assert!(world.vault_proxy.take_calls().is_empty());
    }
}

#[tokio::test]
async fn where_mixing_is_allowed_the_asked_layout_is_made() {
    let lines = vec![("registries", "allow_mixed_layouts = true".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let image = world.push_image().await;
    for (layout, status) in [("cosign", 201), ("bundle", 201), ("cosign", 200)] {
        let answer = world.attest(with(request(&image, 1), "format", layout)).await;
        assert_eq!(answer.status, status, "{layout}: {answer:?}");
    }
}
