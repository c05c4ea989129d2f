//! Many signatures at once, attached in real registries: none fails, none is lost.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use serde_json::json;

use crate::clients::Layout;
use crate::registries::{on_each_registry, world, world_with};
use crate::support::world::Settings;
use crate::support::{Answer, Fault, Signet};
use crate::upstream::{Upstream, digest_of, signature_tag};

on_each_registry!(
    many_images_of_one_repository_are_signed_at_once,
    many_signatures_of_one_image_are_all_kept
);

async fn many_images_of_one_repository_are_signed_at_once(registry: &'static str) {
    let world = world(registry).await;
    for layout in Layout::ALL {
        let images = join_all((0..64).map(|_| world.push_image())).await;
        let sign = async || {
            let requests = images.iter().map(|image| json!({"image": image, "format": layout.name()}));
            join_all(requests.map(|request| world.sign(request))).await
        };
        assert_all(&sign().await, 201);
        assert_all(&sign().await, 200);
    }
}

/// Of 32 cosign processes that do this, a few signatures survive.
async fn many_signatures_of_one_image_are_all_kept(registry: &'static str) {
    let world = world(registry).await;
    let upstream = Upstream::of(&world);
    for layout in Layout::ALL {
        let image = world.push_image().await;
        let requests = (0..32).map(|number| {
            json!({"image": image, "format": layout.name(), "annotations": {"number": number.to_string()}})
        });
        assert_all(&join_all(requests.map(|request| world.sign(request))).await, 201);
        let kept = match layout {
            Layout::Cosign => {
                let manifest = upstream.manifest(&signature_tag(digest_of(&image))).await;
                manifest["layers"].as_array().unwrap().len()
            }
            Layout::Bundle => upstream.referrers(digest_of(&image)).await.len(),
        };
        assert_eq!(kept, 32, "{layout:?}");
    }
}

/// Turns on an image are taken among all replicas.
#[tokio::test]
async fn many_signatures_of_one_image_by_two_replicas_are_all_kept() {
    for registry in ["distribution-2.8", "distribution-3", "ociregistry"] {
        let settings = Settings { registry: Some(registry), postgres: true, ..Settings::default() };
        let world = world_with(settings).await;
        let other = Signet::serve(&world.directory.path().join("signet.toml"));
        let signets = [&world.signet.api, &other.api];
        for layout in Layout::ALL {
            let image = world.push_image().await;
            let requests = (0..32).map(|number: usize| {
                let request = json!({"image": image, "format": layout.name(), "annotations": {"number": number.to_string()}});
                let post = world.client.post(format!("{}/v1/signatures", signets[number % 2]));
                let post = post.bearer_auth(&world.token).json(&request);
                async { Answer::read(post.send().await.unwrap()).await }
            });
            assert_all(&join_all(requests).await, 201);
            assert_eq!(world.signatures(&image).await, 32, "{registry}, {layout:?}");
        }
    }
}

/// distribution 2.8 writes its links in place. Where another request pushes the same blob at that moment, it reads an empty
/// link, and takes the digest in there for that of the manifest.
#[tokio::test]
async fn a_registry_that_misreads_a_right_digest_under_load_is_asked_again() {
    let world = world("distribution-2.8").await;
    let misread = AtomicBool::new(false);
    world.registry_proxy.break_with(move |call| {
        let is_manifest = call.method == "PUT" && call.path.contains("/manifests/sha256:");
        (is_manifest && !misread.swap(true, Ordering::Relaxed)).then(|| Fault::Answer {
            status: 400,
            headers: vec![("content-type", "application/json".to_owned())],
            body: r#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}"#
                .to_owned(),
        })
    });
    let image = world.push_image().await;
    assert_all(&[world.sign(json!({"image": image, "format": "bundle"})).await], 201);
}

fn assert_all(answers: &[Answer], status: u16) {
    let wrong: Vec<_> = answers.iter().filter(|answer| answer.status != status).collect();
    assert!(wrong.is_empty(), "{} of {}: {:?}", wrong.len(), answers.len(), wrong[0]);
}
