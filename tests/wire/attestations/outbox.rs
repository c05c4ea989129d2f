//! From the outbox: attestations that are attached later, and put back.

use serde_json::json;

use super::{assert_made, attested, request, with};
use crate::support::proxy::signing_calls;
use crate::support::world::Settings;
use crate::support::{Fault, World};

#[tokio::test]
async fn an_answer_before_the_registry_has_it_is_202_and_it_is_attached_soon() {
    let world = World::counted().await;
    for format in super::FORMATS {
        let image = world.push_image().await;
        let request = with(request(&image, 1), "format", format);
        let answer = world.post_with("/v1/attestations", &[("Prefer", "respond-async")], request).await;
        assert_eq!((answer.status.as_u16(), &answer.body["state"]), (202, &json!("signed")), "{answer:?}");
        let location = answer.headers["location"].to_str().unwrap().to_owned();
        let attached = async || (world.get(&location).await.body["state"] == "attached").then_some(());
        world.eventually("it is attached", attached).await;
        assert_eq!(world.attestations(&image).await.len() + world.bundles(&image).await.len(), 1);
    }
}

#[tokio::test]
async fn what_was_signed_and_not_attached_is_attached_after_a_restart_and_not_signed_again() {
    let mut world = World::counted().await;
    let images = [world.push_image().await, world.push_image().await];
    world.registry_proxy.break_with(|call| (call.method == "PUT").then(|| Fault::status(500)));
    for (image, format) in images.iter().zip(super::FORMATS) {
        let answer = world.attest(with(request(image, 1), "format", format)).await;
        world.assert_problem(&answer, 502, "registry-unavailable");
    }
    world.signet.kill();
    world.registry_proxy.mend();
    world.take_all_calls();
    world.serve();
    for image in &images {
        let there = async || {
            let count = world.attestations(image).await.len() + world.bundles(image).await.len();
            (count == 1).then_some(())
        };
        world.eventually("it is attached", there).await;
    }
    assert_eq!(attested(&world, &images[0]).await, [json!({"n": 1})]);
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
}

#[tokio::test]
async fn what_somebody_overwrote_is_put_back() {
    let lines = vec![("attach", "look_again = ['300ms']".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let image = world.push_image().await;
    assert_made(&world.attest(request(&image, 1)).await);
    let tag = crate::support::attached::sig_tag(&image).replace(".sig", ".att");
    let (before, _) = world.tagged(&image, &tag).await.unwrap();
    assert_made(&world.attest(request(&image, 2)).await);
    // Somebody who had read before the second was written.
    let (base, media_type) = (world.upstream_of(&image), "application/vnd.oci.image.manifest.v1+json");
    crate::support::image::put_manifest(&world.client, &base, &tag, media_type, before).await;
    let back = async || (attested(&world, &image).await.len() == 2).then_some(());
    world.eventually("it is put back", back).await;
}
