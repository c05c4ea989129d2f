//! `replace`: of the same type and key, the newest alone.

use serde_json::json;

use super::{assert_made, attested, request, with};
use crate::support::World;
use crate::support::world::Settings;

#[tokio::test]
async fn others_of_the_same_type_and_key_give_way_and_nothing_else() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let other_type = with(request(&image, 9), "predicate_type", "https://example.com/other");
    assert_made(&world.attest(other_type).await);
    for n in [1, 2] {
        assert_made(&world.attest(request(&image, n)).await);
    }
    world.rotate().await;
    assert_made(&world.attest(with(request(&image, 3), "key_version", 2)).await);
    assert_eq!(attested(&world, &image).await.len(), 4);

    let newest = with(request(&image, 4), "replace", true);
    assert_made(&world.attest(newest.clone()).await);
    assert_eq!(attested(&world, &image).await, [json!({"n": 9}), json!({"n": 4})]);
    assert_eq!(world.attest(newest).await.status, 200);

    // What gave way is no longer attached, and asking for it again attaches it, unsigned anew.
    let again = world.attest(with(request(&image, 1), "key_version", 1)).await;
    assert_made(&again);
    assert_eq!(attested(&world, &image).await, [json!({"n": 9}), json!({"n": 4}), json!({"n": 1})]);
}

#[tokio::test]
async fn asking_for_what_is_there_with_replace_removes_the_others_that_are_older() {
    let world = World::counted().await;
    let image = world.push_image().await;
    for n in [1, 2] {
        assert_made(&world.attest(request(&image, n)).await);
    }
    let answer = world.attest(with(request(&image, 2), "replace", true)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(attested(&world, &image).await, [json!({"n": 2})]);
}

#[tokio::test]
async fn attestations_of_others_stay() {
    let world = World::counted().await;
    let image = world.push_image().await;
    assert_made(&world.attest(request(&image, 1)).await);
    // As somebody else's would look, with another key or none in its annotations.
    let tag = crate::support::attached::sig_tag(&image).replace(".sig", ".att");
    let (_, mut manifest) = world.tagged(&image, &tag).await.unwrap();
    let mut foreign = manifest["layers"][0].clone();
    foreign["annotations"]["dev.signet.key/fingerprint"] = format!("sha256:{}", "0".repeat(64)).into();
    let mut bare = manifest["layers"][0].clone();
    bare["annotations"].as_object_mut().unwrap().retain(|name, _| !name.starts_with("dev.signet"));
    manifest["layers"].as_array_mut().unwrap().extend([foreign.clone(), bare.clone()]);
    let bytes = manifest.to_string().into_bytes();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    crate::support::image::put_manifest(&world.client, &world.upstream_of(&image), &tag, media_type, bytes)
        .await;

    assert_made(&world.attest(with(request(&image, 2), "replace", true)).await);
    let layers = world.attestations(&image).await;
    assert_eq!(layers[..2], [foreign, bare]);
    assert_eq!(layers.len(), 3);
}

#[tokio::test]
async fn what_gave_way_is_not_put_back_when_it_is_looked_at_again() {
    let lines = vec![("attach", "look_again = ['300ms', '300ms']".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let image = world.push_image().await;
    let first = world.attest(request(&image, 1)).await;
    assert_made(&world.attest(with(request(&image, 2), "replace", true)).await);
    // Both looks at what is there have been, and so has the time for those at what is not.
    let seen = "signet_deliveries_total{outcome=\"seen\"}";
    world.eventually("it is looked at", async || (world.metric(seen).await >= 2.0).then_some(())).await;
    assert_eq!(attested(&world, &image).await, [json!({"n": 2})]);
    assert_eq!(world.metric("signet_deliveries_total{outcome=\"missing\"}").await, 0.0);
    let id = first.body["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/signatures/{id}")).await.body["state"], "failed");
}

#[tokio::test]
async fn bundles_can_not_be_replaced_and_that_is_said_before_anything_is_signed() {
    let world = World::counted().await;
    let image = world.push_image().await;
    assert_made(&world.attest(with(request(&image, 1), "format", "bundle")).await);
    world.take_all_calls();
    for request in [request(&image, 2), with(request(&image, 2), "format", "bundle")] {
        let answer = world.attest(with(request, "replace", true)).await;
        world.assert_problem(&answer, 400, "format-unsupported");
    }
    assert!(world.vault_proxy.take_calls().is_empty());
}
