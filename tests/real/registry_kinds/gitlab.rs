//! GitLab's registry, where the tag `sha256-<hex>` resolves to the image itself: both cosigns verify there what Signet attached,
//! through the same proxy.

use serde_json::json;

use crate::clients::{Clients, Layout};
use crate::registries::world;
use crate::support::traps::GitLab;
use crate::upstream::digest_of;

#[tokio::test]
async fn cosign_verifies_images_and_indexes_on_gitlab() {
    for registry in ["distribution-2.8", "distribution-3"] {
        let world = world(registry).await;
        world.registry_proxy.break_with(GitLab::public().rule());
        let clients = Clients::of(&world);
        let pem = world.public_key(1).await;
        let (child, other) = (world.push_child().await, world.push_child().await);
        let (index, _) = world.push_index(&[child.clone(), other]).await;
        let answer = world.sign(json!({"image": index, "recursive": true})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let alone = world.push_image().await;
        assert_eq!(world.sign_image(&alone).await.status, 201);
        for image in [&index, &world.image(child.digest), &alone] {
            let before = world.tagged(image, &digest_of(image).to_string()).await;
            assert_eq!(world.sign(json!({"image": image, "annotations": {"k": "v"}})).await.status, 201);
            clients.assert_verified(Layout::Cosign, &pem, image, &[]).await;
            clients.assert_verified(Layout::Cosign, &pem, image, &["-a", "k=v"]).await;
            assert_eq!(world.tagged(image, &digest_of(image).to_string()).await, before);
        }
        let refused = world.sign(json!({"image": alone, "format": "bundle"})).await;
        world.assert_problem(&refused, 400, "format-unsupported");
        clients.assert_verified(Layout::Cosign, &pem, &alone, &[]).await;
    }
}
