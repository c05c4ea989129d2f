//! What fails for a moment is tried again, and nothing is signed twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::Signet;
use crate::support::proxy::{Call, signing_calls};
use crate::support::{Fault, Proxy, World};

/// A proxy before Signet that breaks the first calls of `path` in these ways.
async fn breaking(world: &World, path: &'static str, faults: Vec<Fault>) -> Proxy {
    let proxy = Proxy::start(&world.signet.api).await;
    let seen = AtomicUsize::new(0);
    proxy.break_with(move |call| {
        (call.path == path).then(|| faults.get(seen.fetch_add(1, Ordering::SeqCst)).cloned()).flatten()
    });
    proxy
}

fn keys(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.headers["idempotency-key"].to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_nothing_is_signed_twice() {
    for fault in [Fault::LoseAnswer, Fault::Cut, Fault::CutAnswer] {
        let world = World::counted().await;
        let image = world.push_image().await;
        let proxy = breaking(&world, "/v1/signatures", vec![fault.clone(), fault]).await;
        let ended = Signet::of(&world).with("SIGNET_URL", proxy.url()).run(&["sign", &image]).await;
        ended.assert(0);
        assert_eq!(ended.stdout.lines().count(), 1);
        assert_eq!(ended.stderr.matches("trying again in").count(), 2, "{}", ended.stderr);
        assert_eq!(world.signatures(&image).await, 1);
        assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);
        let calls = proxy.calls();
        let keys = keys(&calls);
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        assert_eq!(uuid::Uuid::parse_str(keys[0]).unwrap().get_version_num(), 4);
        // Another command is another request.
        Signet::of(&world).with("SIGNET_URL", proxy.url()).run(&["sign", &image]).await.assert(0);
        assert_ne!(proxy.calls()[3].headers["idempotency-key"], keys[0]);
    }
}

#[tokio::test]
async fn busy_servers_are_waited_for_as_they_ask() {
    let world = World::start().await;
    let image = world.push_image().await;
    let busy = |status| Fault::Answer {
        status,
        headers: vec![("retry-after", "1".to_owned())],
        body: json!({"code": "overloaded", "detail": "Try again later.", "request_id": "r"}).to_string(),
    };
    let proxy = breaking(&world, "/v1/signatures", vec![busy(429), busy(503)]).await;
    let ended = Signet::of(&world).with("SIGNET_URL", proxy.url()).run(&["sign", &image]).await;
    ended.assert(0);
    assert_eq!(ended.stderr.matches("trying again in 1.0 s").count(), 2, "{}", ended.stderr);

    let proxy = breaking(&world, "/v1/signatures", vec![busy(429); 100]).await;
    let arguments = ["sign", "--timeout", "2s", "--output", "json", &image];
    let ended = Signet::of(&world).with("SIGNET_URL", proxy.url()).run(&arguments).await;
    assert_eq!(ended.assert(3).documents()[0]["code"], "overloaded");
    assert!(proxy.calls().len() <= 2, "{:?}", proxy.calls());
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let world = World::start().await;
    let image = world.push_image().await;
    let proxy = breaking(&world, "/v1/signatures", vec![]).await;
    let signet = Signet::of(&world).with("SIGNET_URL", proxy.url()).with("SIGNET_TOKEN", &world.outsider);
    signet.run(&["sign", &image]).await.assert(1);
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test]
async fn of_many_images_only_those_that_failed_are_asked_for_again() {
    let world = World::counted().await;
    let images = [world.push_image().await, world.push_image().await, world.push_image().await];
    let hidden = crate::support::attached::digest_of(&images[1]).hex();
    let broken = AtomicUsize::new(0);
    world.registry_proxy.break_with(move |call| {
        // As often as Signet itself tries one call.
        let asks = call.method == "HEAD" && call.path.contains(&hidden);
        (asks && broken.fetch_add(1, Ordering::SeqCst) < 3).then(|| Fault::status(503))
    });
    let proxy = breaking(&world, "/v1/signatures:batch", vec![]).await;
    let arguments = ["sign", "--output", "json", &images[0], &images[1], &images[2]];
    let ended = Signet::of(&world).with("SIGNET_URL", proxy.url()).run(&arguments).await;
    let documents = ended.assert(0).documents();
    let signed: Vec<_> = documents.iter().map(|answer| answer["image"].as_str().unwrap()).collect();
    assert_eq!(signed, images);
    let calls = proxy.calls();
    let asked: Vec<_> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(asked, ["/v1/signatures:batch", "/v1/signatures"]);
    assert_ne!(keys(&calls)[0], keys(&calls)[1]);
    for image in &images {
        assert_eq!(world.signatures(image).await, 1);
    }
}

#[tokio::test]
async fn a_file_whose_answer_was_lost_is_signed_once() {
    let world = World::counted().await;
    std::fs::write(world.directory.path().join("app.tar"), "content").unwrap();
    let proxy = breaking(&world, "/v1/blobs", vec![Fault::LoseAnswer]).await;
    let ended = Signet::of(&world).with("SIGNET_URL", proxy.url()).run(&["sign-blob", "app.tar"]).await;
    ended.assert(0);
    let calls = proxy.calls();
    assert_eq!(keys(&calls)[0], keys(&calls)[1]);
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);
}
