//! The log can not be written: no signature is made, none is released, and none is called attached.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::attached::digest_of;
use crate::support::proxy::{Call, is_signing, signing_calls};
use crate::support::{Fault, World};

/// Keeps the log from being written as long as it lives, as a backup that hangs would.
struct Locked(Connection);

impl Locked {
    fn lock(world: &World) -> Self {
        let connection = Connection::open(world.directory.path().join("signet.db")).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

async fn entries(world: &World, image: &str) -> Vec<Value> {
    world.entries(&format!("digest={}", digest_of(image))).await
}

fn kinds(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn without_a_log_nothing_is_signed_and_what_needs_no_entry_works_on() {
    let world = World::counted().await;
    let (signed, image, bundled) =
        (world.push_image().await, world.push_image().await, world.push_image().await);
    let first = world.sign_image(&signed).await;
    assert_eq!(first.status, 201);
    world.take_all_calls();

    let locked = Locked::lock(&world);
    let (answer, other, readiness, again, refused) = tokio::join!(
        world.sign_image(&image),
        world.sign(json!({"image": bundled, "format": "bundle"})),
        world.readiness(),
        world.sign_image(&signed),
        world.post("/v1/signatures", &world.outsider, json!({"image": image}).to_string()),
    );
    for answer in [answer, other] {
        world.assert_problem(&answer, 503, "log-unavailable");
    }
    assert_eq!(readiness.status, 503, "{readiness:?}");
    assert_ne!(readiness.body["checks"]["log"], "ok");
    assert_eq!(readiness.body["checks"]["vault"], "ok");
    assert_eq!((again.status.as_u16(), &again.body["id"]), (200, &first.body["id"]));
    world.assert_problem(&refused, 403, "forbidden");
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    assert!(
        world.registry_proxy.take_calls().iter().all(|call| call.method == "GET" || call.method == "HEAD")
    );
    assert_eq!(world.signatures(&image).await + world.signatures(&bundled).await, 0);
    assert_eq!(world.get("/v1/log/entries").await.status, 200);
    assert!(kinds(&entries(&world, &image).await).iter().all(|kind| *kind == "refusal"));
    drop(locked);

    assert_eq!(world.sign_image(&image).await.status, 201);
    assert_eq!(world.sign(json!({"image": bundled, "format": "bundle"})).await.status, 201);
    world.eventually("it is ready", async || (world.readiness().await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_signature_whose_outcome_can_not_be_logged_is_not_released() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    world.vault_proxy.break_with(move |call| is_signing(call).then(|| Fault::Gate(closed.clone())));
    let locking = async {
        let waits = async || world.vault_proxy.calls().iter().any(is_signing).then_some(());
        world.eventually("Vault is asked to sign", waits).await;
        let locked = Locked::lock(&world);
        gate.add_permits(1);
        locked
    };
    let (answer, locked) = tokio::join!(world.sign_image(&image), locking);
    world.assert_problem(&answer, 503, "log-unavailable");
    assert_eq!(world.signatures(&image).await, 0);
    drop(locked);
    assert_eq!(kinds(&entries(&world, &image).await), ["intent"]);

    // Nobody has the signature that was made: another one is.
    world.vault_proxy.mend();
    assert_eq!(world.sign_image(&image).await.status, 201);
    assert_eq!(world.signatures(&image).await, 1);
    assert_eq!(kinds(&entries(&world, &image).await), ["intent", "intent", "outcome", "attach"]);
}

#[tokio::test]
async fn an_attachment_that_can_not_be_logged_is_no_success_and_is_found_again() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let is_put = |call: &Call| call.method == "PUT" && call.path.ends_with(".sig");
    world.registry_proxy.break_with(move |call| is_put(call).then(|| Fault::Gate(closed.clone())));
    let locking = async {
        let waits = async || world.registry_proxy.calls().iter().any(is_put).then_some(());
        world.eventually("the signature is put", waits).await;
        let locked = Locked::lock(&world);
        gate.add_permits(1);
        locked
    };
    let (answer, locked) = tokio::join!(world.sign_image(&image), locking);
    world.assert_problem(&answer, 503, "log-unavailable");
    assert_eq!(world.signatures(&image).await, 1);
    let stored = entries(&world, &image).await;
    assert_eq!(kinds(&stored), ["intent", "outcome"]);
    let path = format!("/v1/signatures/{}", stored[1]["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await.body["state"], "signed");
    drop(locked);

    world.registry_proxy.mend();
    let again = world.sign_image(&image).await;
    assert_eq!((again.status.as_u16(), &again.body["state"]), (200, &json!("attached")), "{again:?}");
    assert_eq!(world.get(&path).await.body["state"], "attached");
    assert_eq!(kinds(&entries(&world, &image).await), ["intent", "outcome", "attach"]);
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);
}

#[tokio::test]
async fn what_can_not_be_adopted_is_not_answered_with_200() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let payload = world.payload(&image, &[]);
    world.plant_layers(&image, &payload, &[world.vault_signature(&payload).await]).await;
    let locked = Locked::lock(&world);
    let answer = world.sign_image(&image).await;
    world.assert_problem(&answer, 503, "log-unavailable");
    drop(locked);
    assert_eq!(world.sign_image(&image).await.status, 200);
    assert_eq!(kinds(&entries(&world, &image).await), ["adopted"]);
}
