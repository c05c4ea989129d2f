//! A key is rotated in Vault: what was signed before verifies as before, what is signed after with the new version, and
//! what is signed meanwhile with either.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::{Digest, HashAlgorithm, PublicKey, SigningInput};

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::{on_each_registry, world_with};
use crate::support::world::Settings;
use crate::support::{World, soak};
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

/// How many requests there are in the storm, and how many rotations.
fn storm() -> (usize, usize) {
    if soak() { (10_000, 20) } else { (600, 5) }
}

/// Requests under way at any moment.
const CONCURRENCY: usize = 64;

/// Signatures of each version that cosign verifies too.
const BY_COSIGN: usize = 5;

/// What a request of the storm was answered with.
struct Made {
    image: String,
    version: u32,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[tokio::test]
async fn a_storm_of_rotations_fails_no_request() {
    let lines = vec![("vault", "key_poll = '100ms'".to_owned())];
    let world = world_with(Settings { registry: Some("ociregistry"), lines, ..Settings::default() }).await;
    let made = under_load(&world, async || world.rotate().await).await;
    assert_each_version_verifies(&world, &made).await;
}

/// Versions sign no more as soon as there is a newer one: whoever has chosen one meanwhile is served all the same.
#[tokio::test]
async fn a_storm_of_archived_versions_fails_no_request_that_names_none() {
    let lines = vec![("vault", "key_poll = '100ms'".to_owned())];
    let world = world_with(Settings { registry: Some("ociregistry"), lines, ..Settings::default() }).await;
    let latest = AtomicU32::new(1);
    let made = under_load(&world, async || {
        world.rotate().await;
        world.set_minimum(latest.fetch_add(1, Ordering::SeqCst) + 1).await;
    })
    .await;
    assert_each_version_verifies(&world, &made).await;
}

/// Signs an image after the other, and does `rotate` now and then, once the version before has signed enough. All
/// requests are answered with 201.
async fn under_load(world: &World, rotate: impl AsyncFn()) -> Vec<Made> {
    let (requests, rotations) = storm();
    let images = many_images(world, requests).await;
    let made = Mutex::new(Vec::with_capacity(requests));
    let next = AtomicUsize::new(0);
    let caller = async || {
        while let Some(image) = images.get(next.fetch_add(1, Ordering::SeqCst)) {
            let answer = world.sign(json!({"image": image, "format": "cosign"})).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            let signature = &answer.body["signatures"][0];
            let bytes = |field: &str| STANDARD.decode(signature[field].as_str().unwrap()).unwrap();
            let version = u32::try_from(answer.body["key"]["version"].as_u64().unwrap()).unwrap();
            let one = Made {
                image: image.clone(),
                version,
                payload: bytes("payload"),
                signature: bytes("signature"),
            };
            made.lock().unwrap().push(one);
        }
    };
    let rotating = async {
        for rotation in 1..=rotations {
            let due = rotation * requests / (rotations + 2);
            let enough = || {
                let made = made.lock().unwrap();
                let of_latest = made.iter().filter(|one| one.version as usize == rotation).count();
                (made.len() >= due && of_latest >= BY_COSIGN).then_some(())
            };
            world.eventually("the version signs", async || enough()).await;
            rotate().await;
        }
    };
    tokio::join!(join_all((0..CONCURRENCY).map(|_| caller())), rotating);
    made.into_inner().unwrap()
}

/// Each signature verifies with the key of its version, and some of each version with cosign.
async fn assert_each_version_verifies(world: &World, made: &[Made]) {
    let (requests, rotations) = storm();
    assert_eq!(made.len(), requests);
    let (clients, upstream) = (Clients::of(world), Upstream::of(world));
    let mut counts = Vec::new();
    for version in 1..=u32::try_from(rotations).unwrap() + 1 {
        let pem = world.public_key(version).await;
        let key = PublicKey::from_pem(&pem).unwrap();
        let of_version: Vec<_> = made.iter().filter(|one| one.version == version).collect();
        for one in &of_version {
            let input = SigningInput::of(key.key_type(), HashAlgorithm::Sha256, &one.payload.clone().into());
            assert!(key.verifies(&input, &one.signature), "{} {version}", one.image);
        }
        assert!(of_version.len() >= BY_COSIGN, "version {version} made {} signatures", of_version.len());
        for one in of_version.iter().step_by(of_version.len() / BY_COSIGN).take(BY_COSIGN) {
            let image = upstream.image(digest_of(&one.image));
            let verified = clients.cosign_verify(Cosign::V3, Layout::Cosign, &pem, &image, &[]).await;
            assert!(verified.is_ok(), "{} {version}: {verified:?}", one.image);
        }
        counts.push(of_version.len());
    }
    println!("{requests} requests, {rotations} rotations, signatures of each version: {counts:?}");
}

/// So many images that share everything but a number.
async fn many_images(world: &World, count: usize) -> Vec<String> {
    let upstream = Upstream::of(world);
    let first = digest_of(&world.push_image().await);
    let manifest = upstream.manifest(&first.to_string()).await;
    let push = async |number: usize| {
        let mut manifest = manifest.clone();
        manifest["annotations"] = json!({"number": number.to_string()});
        world.image(upstream.put(&Digest::of(manifest.to_string().as_bytes()).to_string(), &manifest).await)
    };
    stream::iter(0..count).map(push).buffered(16).collect().await
}

async fn sign(world: &World, image: &str, layout: Layout) -> Value {
    let request = json!({"image": world.image(digest_of(image)), "format": layout.name()});
    let answer = world.sign(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}
