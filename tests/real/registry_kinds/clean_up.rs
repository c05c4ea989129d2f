//! A clean-up policy as GitLab's: it deletes tags by name and by the `created` of their configuration. What Signet attaches has
//! the date on which it was made, and stays; what cosign writes is from the year 1, and goes.

use serde_json::{Value, json};
use signet::domain::{Clock as _, SystemClock, Timestamp};

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::{on_each_registry, world};
use crate::support::World;
use crate::support::attached::sig_tag;
use crate::upstream::{Upstream, digest_of};

on_each_registry!(
    what_signet_attached_stays_and_what_cosign_wrote_goes,
    a_signature_of_cosign_stays_beside_one_of_signet,
    tags_that_the_policy_keeps_stay_whoever_wrote_them,
);

const DAY: i64 = 24 * 60 * 60;

/// Deletes tags older than 90 days, but those that are kept. Returns what it has deleted.
async fn clean_up(world: &World, keeps: impl Fn(&str) -> bool) -> Vec<String> {
    let upstream = Upstream::of(world);
    let list = world.client.get(format!("{}/tags/list", world.upstream())).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let mut deleted = Vec::new();
    for tag in list["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()) {
        let manifest = upstream.manifest(tag).await;
        let config: Value =
            serde_json::from_slice(&upstream.blob(&manifest["config"]["digest"]).await).unwrap();
        let created: Timestamp = config["created"].as_str().unwrap().parse().unwrap();
        let age = SystemClock.now().as_second() - created.as_second();
        if age > 90 * DAY && !keeps(tag) {
            let digest = upstream.digest(tag).await;
            let url = format!("{}/manifests/{digest}", world.upstream());
            assert!(world.client.delete(url).send().await.unwrap().status().is_success());
            deleted.push(tag.to_owned());
        }
    }
    deleted
}

async fn what_signet_attached_stays_and_what_cosign_wrote_goes(registry: &'static str) {
    let world = world(registry).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    let ours = world.push_image().await;
    assert_eq!(world.sign_image(&ours).await.status, 201);
    let mut theirs = Vec::new();
    for version in Cosign::ALL {
        let image = world.push_image().await;
        let there = upstream.image(digest_of(&image));
        clients.cosign_sign(version, Layout::Cosign, &world.key, &there, &[]).await;
        theirs.push(image);
    }
    let mut deleted = clean_up(&world, |_| false).await;
    let mut expected: Vec<_> = theirs.iter().map(|image| sig_tag(image)).collect();
    deleted.sort();
    expected.sort();
    assert_eq!(deleted, expected);
    let pem = world.public_key(1).await;
    clients.assert_verified(Layout::Cosign, &pem, &upstream.image(digest_of(&ours)), &[]).await;
    for image in &theirs {
        clients.assert_refused(Layout::Cosign, &pem, &upstream.image(digest_of(image)), &[]).await;
    }
}

async fn a_signature_of_cosign_stays_beside_one_of_signet(registry: &'static str) {
    let world = world(registry).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    let image = world.push_image().await;
    let there = upstream.image(digest_of(&image));
    let by_cosign = async |name: &str| {
        let annotation = format!("by={name}");
        clients.cosign_sign(Cosign::V3, Layout::Cosign, &world.key, &there, &["-a", &annotation]).await;
    };
    by_cosign("cosign").await;
    assert_eq!(world.sign(json!({"image": image, "annotations": {"by": "signet"}})).await.status, 201);
    assert!(clean_up(&world, |_| false).await.is_empty());
    // It keeps the date that it finds.
    by_cosign("cosign-later").await;
    assert!(clean_up(&world, |_| false).await.is_empty());
    let pem = world.public_key(1).await;
    for name in ["cosign", "signet", "cosign-later"] {
        clients.assert_verified(Layout::Cosign, &pem, &there, &["-a", &format!("by={name}")]).await;
    }
}

async fn tags_that_the_policy_keeps_stay_whoever_wrote_them(registry: &'static str) {
    let world = world(registry).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    let image = upstream.image(digest_of(&world.push_image().await));
    clients.cosign_sign(Cosign::V2, Layout::Cosign, &world.key, &image, &[]).await;
    // ^sha256-.*\.(sig|att)$
    let is_signature =
        |tag: &str| tag.starts_with("sha256-") && (tag.ends_with(".sig") || tag.ends_with(".att"));
    assert!(clean_up(&world, is_signature).await.is_empty());
    clients.assert_verified(Layout::Cosign, &world.public_key(1).await, &image, &[]).await;
}
