//! One layout an image, and so many signatures.

use serde_json::json;

use super::{FORMATS, assert_found, assert_made, entries, sign};
use crate::support::World;
use crate::support::proxy::signing_calls;
use crate::support::world::Settings;

#[tokio::test]
async fn another_layout_than_the_image_has_is_409_and_nothing_is_signed() {
    for world in World::in_each_registry(Settings::default()).await {
        for (has, wanted) in [("cosign", "bundle"), ("bundle", "cosign")] {
            let image = world.push_image().await;
            assert_made(&sign(&world, &image, has).await);
            world.take_all_calls();
            let answer = sign(&world, &image, wanted).await;
            world.assert_problem(&answer, 409, "layout-conflict");
            assert!(answer.detail().contains(&format!("`{has}`")), "{}", answer.detail());
            assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
            assert_eq!(world.signatures(&image).await, 1);
            assert_found(&sign(&world, &image, has).await);
        }
    }
}

#[tokio::test]
async fn without_a_format_the_image_decides_then_the_registry_then_cosign() {
    let lines = vec![("registries", "format = 'bundle'".to_owned())];
    for (lines, default) in [(vec![], "cosign"), (lines, "bundle")] {
        let world = World::with(Settings { lines, ..Settings::default() }).await;
        let fresh = world.push_image().await;
        let answer = world.sign_image(&fresh).await;
        assert_made(&answer);
        assert_eq!(answer.body["signatures"][0]["format"], default);
        for has in FORMATS {
            let image = world.push_image().await;
            assert_made(&sign(&world, &image, has).await);
            assert_found(&world.sign_image(&image).await);
            let answer = world.sign(json!({"image": image, "annotations": {"k": "v"}})).await;
            assert_made(&answer);
            assert_eq!(answer.body["signatures"][0]["format"], has);
        }
    }
}

#[tokio::test]
async fn both_layouts_are_possible_where_the_operator_says_so() {
    let lines = vec![("registries", "allow_mixed_layouts = true".to_owned())];
    let world = World::with(Settings { lines, ..Settings::default() }).await;
    for (first, second) in [("cosign", "bundle"), ("bundle", "cosign")] {
        let image = world.push_image().await;
        assert_made(&sign(&world, &image, first).await);
        assert_made(&sign(&world, &image, second).await);
        assert_eq!((world.layers(&image).await.len(), world.bundles(&image).await.len()), (1, 1));
        assert_found(&sign(&world, &image, first).await);
        assert_found(&sign(&world, &image, second).await);
    }
}

#[tokio::test]
async fn beyond_its_limit_an_image_gets_no_signature_and_keeps_those_it_has() {
    let lines = vec![("registries", "max_signatures_per_image = 2".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    for format in FORMATS {
        let image = world.push_image().await;
        let request = |n: &str| json!({"image": image, "format": format, "annotations": {"n": n}});
        for n in ["1", "2"] {
            assert_made(&world.sign(request(n)).await);
        }
        world.take_all_calls();
        let answer = world.sign(request("3")).await;
        world.assert_problem(&answer, 409, "too-many-signatures");
        assert!(answer.detail().contains("max_signatures_per_image"), "{}", answer.detail());
        assert!(world.vault_proxy.take_calls().is_empty(), "it was signed before it was refused");
        assert_eq!(entries(&world, &image, "intent").await.len(), 2);
        assert_eq!(world.signatures(&image).await, 2);
        assert_found(&world.sign(request("1")).await);
    }
}
