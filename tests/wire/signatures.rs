//! `POST /v1/signatures`, when all is well.

use serde_json::json;

use crate::support::World;
use crate::support::proxy::signing_calls;

#[tokio::test]
async fn a_first_signature_is_201_and_the_same_again_is_200_and_changes_nothing() {
    let world = World::start().await;
    let image = world.push_image().await;

    let first = world.sign_image(&image).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.body["state"], "attached");
    assert_eq!(first.body["signatures"][0]["created"], true);
    let calls = world.vault_proxy.take_calls();
    assert_eq!(signing_calls(&calls).len(), 1);

    world.registry_proxy.take_calls();
    let again = world.sign_image(&image).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.body["id"], first.body["id"]);
    assert_eq!(again.body["signatures"][0]["created"], false);
    assert_eq!(again.body["signatures"][0]["signature"], first.body["signatures"][0]["signature"]);
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    // That the image is there was seen a moment ago.
    let calls = world.registry_proxy.take_calls();
    assert_eq!(calls.iter().map(|call| call.method.as_str()).collect::<Vec<_>>(), ["GET"], "{calls:?}");
}

#[tokio::test]
async fn a_bundle_is_signed_and_found_again() {
    let world = World::start().await;
    let image = world.push_image().await;
    let request = json!({"image": image, "format": "bundle", "annotations": {"k": "v"}});
    let first = world.sign(request.clone()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = world.sign(request).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.body["id"], first.body["id"]);
}
