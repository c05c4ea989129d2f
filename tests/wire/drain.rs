//! SIGTERM and hang-ups: what has begun is finished.

use std::sync::Arc;

use futures::stream;
use reqwest::{Body, RequestBuilder, Response};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::support::proxy::{is_signing, signing_calls};
use crate::support::world::Settings;
use crate::support::{Answer, Fault, World};

/// A request to sign `image`, on a connection of its own.
fn request(world: &World, image: &str) -> RequestBuilder {
    let request = crate::support::servers::client().post(format!("{}/v1/signatures", world.signet.api));
    request.bearer_auth(&world.token).body(json!({"image": image}).to_string())
}

/// A world where a request waits at a gate in Vault, with that request.
async fn waiting_in_vault() -> (World, String, Arc<Semaphore>, JoinHandle<reqwest::Result<Response>>) {
    let world = World::counted().await;
    let image = world.push_image().await;
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    world.vault_proxy.break_with(move |call| is_signing(call).then(|| Fault::Gate(closed.clone())));
    let request = tokio::spawn(request(&world, &image).send());
    let asked = async || (!signing_calls(&world.vault_proxy.calls()).is_empty()).then_some(());
    world.eventually("the request waits in Vault", asked).await;
    (world, image, gate, request)
}

async fn refuses_connections(world: &World) {
    let address = world.signet.api.trim_start_matches("http://").to_owned();
    let refused = async || tokio::net::TcpStream::connect(&address).await.is_err().then_some(());
    world.eventually("no more connections are accepted", refused).await;
}

#[tokio::test]
async fn sigterm_accepts_no_more_finishes_what_is_under_way_and_exits_0() {
    let (mut world, image, gate, request) = waiting_in_vault().await;
    world.signet.terminate();
    refuses_connections(&world).await;
    let readiness = world.readiness().await;
    assert_eq!((readiness.status.as_u16(), &readiness.body["checks"]["draining"]), (503, &json!(true)));
    gate.add_permits(1);
    let answer = Answer::read(request.await.unwrap().unwrap()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["state"]), (201, &json!("attached")), "{answer:?}");
    assert_eq!(world.signet.wait().await.code(), Some(0));
    assert_eq!(world.signatures(&image).await, 1);
    // All of it is in the log, and nobody else holds that open.
    world.vault_proxy.mend();
    world.serve();
    assert_eq!(world.sign_image(&image).await.status, 200);
}

#[tokio::test]
async fn a_second_sigterm_exits_at_once() {
    let (mut world, image, _gate, request) = waiting_in_vault().await;
    world.signet.terminate();
    refuses_connections(&world).await;
    world.signet.terminate();
    assert_eq!(world.signet.wait().await.code(), Some(130));
    assert!(request.await.unwrap().is_err(), "nobody was told of a success");
    assert_eq!(world.signatures(&image).await, 0);
}

#[tokio::test]
async fn idle_connections_and_bodies_that_stop_do_not_keep_it_from_ending() {
    let lines = vec![("limits", "request_timeout = '300ms'".to_owned())];
    let mut world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    // This one is kept alive.
    assert_eq!(world.get("/v1/keys").await.status, 200);
    let (begin, begun) = tokio::sync::oneshot::channel();
    let first = stream::once(async move {
        let _ = begin.send(());
        Ok::<_, std::io::Error>("{")
    });
    let body = Body::wrap_stream(futures::StreamExt::chain(first, stream::pending()));
    let stalled = tokio::spawn(request(&world, "x").body(body).send());
    begun.await.unwrap();
    world.signet.terminate();
    assert_eq!(world.signet.wait().await.code(), Some(0));
    // Whether its head had arrived before the signal is nobody's promise.
    if let Ok(answer) = stalled.await.unwrap() {
        assert_eq!(answer.status(), 408);
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_gets_the_signature_attached_all_the_same() {
    let (world, image, gate, request) = waiting_in_vault().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    world.eventually("it is attached", async || (world.signatures(&image).await == 1).then_some(())).await;
    world.vault_proxy.mend();
    assert_eq!(world.sign_image(&image).await.status, 200);
}

#[tokio::test]
async fn the_drain_waits_for_a_signature_whose_caller_has_hung_up() {
    let (mut world, image, gate, request) = waiting_in_vault().await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    world.signet.terminate();
    refuses_connections(&world).await;
    gate.add_permits(1);
    assert_eq!(world.signet.wait().await.code(), Some(0));
    assert_eq!(world.signatures(&image).await, 1);
    world.vault_proxy.mend();
    world.serve();
    assert_eq!(world.sign_image(&image).await.status, 200);
}
