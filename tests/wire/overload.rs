//! More than can be done: what does not fit is sent away at once, and what was let in is done.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::proxy::is_signing;
use crate::support::world::Settings;
use crate::support::{Fault, World};

#[tokio::test]
async fn what_does_not_fit_the_queue_is_503_at_once_and_the_rest_is_signed() {
    let lines = vec![("limits", "in_flight = 1".to_owned()), ("limits", "queue = 1".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let images = join_all((0..5).map(|_| world.push_image())).await;
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    world.vault_proxy.break_with(move |call| is_signing(call).then(|| Fault::Gate(closed.clone())));
    let fits = join_all(images[..2].iter().map(|image| world.sign_image(image)));
    let others = async {
        let waiting = async || (world.metric("signet_requests_waiting").await == 1.0).then_some(());
        world.eventually("one waits for the other", waiting).await;
        for answer in join_all(images[2..].iter().map(|image| world.sign_image(image))).await {
            world.assert_problem(&answer, 503, "overloaded");
        }
        // What needs no turn is answered.
        assert_eq!(world.get("/v1/keys").await.status, 200);
        gate.add_permits(5);
    };
    let (answers, ()) = tokio::join!(fits, others);
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    for answer in join_all(images.iter().take(2).map(|image| world.sign_image(image))).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for image in &images[2..] {
        assert_eq!(world.sign_image(image).await.status, 201);
    }
}

#[tokio::test]
async fn large_bodies_wait_for_room_in_the_same_queue_and_keep_nobody_else_waiting() {
    let lines = vec![("limits", "bytes_in_flight = 1048576".to_owned()), ("limits", "queue = 1".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let images = join_all((0..4).map(|_| world.push_image())).await;
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    world.vault_proxy.break_with(move |call| is_signing(call).then(|| Fault::Gate(closed.clone())));
    let attest = async |image: &String| {
        let predicate = json!({"a": "x".repeat(1024 * 1024)});
        world.attest(json!({"image": image, "predicate_type": "custom", "predicate": predicate})).await
    };
    let fits = join_all(images[..2].iter().map(attest));
    let others = async {
        let waiting = async || (world.metric("signet_requests_waiting").await == 1.0).then_some(());
        world.eventually("one waits for the other", waiting).await;
        world.assert_problem(&attest(&images[2]).await, 503, "overloaded");
        world.vault_proxy.mend();
        assert_eq!(world.sign_image(&images[3]).await.status, 201);
        gate.add_permits(5);
    };
    let (answers, ()) = tokio::join!(fits, others);
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
}
