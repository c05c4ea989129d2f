//! Many callers share few calls to Vault, and the log and Vault's audit log tell which signature came of which call.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::registries::{world, world_with};
use crate::support::proxy::{Call, is_signing, signing_calls};
use crate::support::servers::KeyForm;
use crate::support::world::Settings;
use crate::support::{Fault, World, servers};

const CALLERS: usize = 64;
/// Calls that are under way at once, by default: the first who come, and beside them twice what is worth a call of its own.
const AT_ONCE: usize = 3;
const WORTH_A_CALL: usize = 20;

#[tokio::test]
async fn callers_who_arrive_while_calls_are_under_way_share_the_next_one() {
    let world = world("distribution-2.8").await;
    let images = images(&world).await;
    let gate = close_vault(&world);
    let answers = join_all(images.iter().map(|image| world.sign_image(image)));
    let meanwhile = async {
        everybody_waits(&world).await;
        assert_only_intents_are_logged(&world).await;
        gate.add_permits(CALLERS);
    };
    let (answers, ()) = tokio::join!(answers, meanwhile);
    for answer in answers {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_calls_are_shared(&world).await;
}

#[tokio::test]
async fn the_requests_of_one_batch_share_calls_too() {
    let world = world("distribution-3").await;
    let images = images(&world).await;
    let gate = close_vault(&world);
    let requests: Vec<_> = images.iter().map(|image| json!({"image": image})).collect();
    let body = json!({"requests": requests}).to_string();
    let (answer, ()) = tokio::join!(world.post("/v1/signatures:batch", &world.token, body), async {
        everybody_waits(&world).await;
        gate.add_permits(CALLERS);
    });
    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(results.len(), CALLERS);
    for (image, result) in images.iter().zip(results) {
        assert_eq!(
            (&result["status"], &result["signature"]["image"]),
            (&json!(201), &json!(image)),
            "{result}"
        );
    }
    assert_calls_are_shared(&world).await;
}

/// What one idle core of Vault makes of RSA with 4096 bits in a twentieth of the 10 s that a call has.
const RSA_4096: usize = 49;

#[tokio::test]
async fn calls_for_slow_keys_are_short_enough_for_a_busy_vault() {
    let key = KeyForm { key_type: "rsa-4096", hash: None };
    let world = world_with(Settings { registry: Some("ociregistry"), key, ..Settings::default() }).await;
    let images = join_all((0..120).map(|_| world.push_image())).await;
    let begun = std::time::Instant::now();
    for answer in join_all(images.iter().map(|image| world.sign_image(image))).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let sent = items_by_batch(&world.vault_proxy.calls());
    assert_eq!(sent.values().sum::<usize>(), images.len());
    assert!(sent.values().all(|size| *size <= RSA_4096), "{sent:?}");
    println!("120 signatures with rsa-4096 in {:?}, {} calls", begun.elapsed(), sent.len());
}

async fn images(world: &World) -> Vec<String> {
    join_all((0..CALLERS).map(|_| world.push_image())).await
}

/// From now on, calls that sign wait for a permit.
fn close_vault(world: &World) -> Arc<Semaphore> {
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    world.vault_proxy.break_with(move |call| is_signing(call).then(|| Fault::Gate(closed.clone())));
    gate
}

/// Until the calls that may be under way are, and all others wait for one of them.
async fn everybody_waits(world: &World) {
    world
        .eventually("all callers wait for Vault", async || {
            let queued = world.metric("signet_signing_queue").await as usize;
            let sent = items_by_batch(&world.vault_proxy.calls());
            let full = sent.len() == AT_ONCE || queued < WORTH_A_CALL;
            (full && sent.values().sum::<usize>() + queued == CALLERS).then_some(())
        })
        .await;
}

async fn assert_only_intents_are_logged(world: &World) {
    let logged = entries(world).await;
    assert!(logged.iter().all(|entry| entry["kind"] == "intent"), "{logged:?}");
    assert_eq!(by_batch(&logged), items_by_batch(&world.vault_proxy.calls()));
}

/// At most three calls were under way, and whoever came meanwhile went with the next. Each call is in our log and in Vault's.
async fn assert_calls_are_shared(world: &World) {
    let sent = items_by_batch(&world.vault_proxy.calls());
    assert_eq!(sent.values().sum::<usize>(), CALLERS);
    assert!(sent.len() <= AT_ONCE + 1, "{sent:?}");

    let logged = entries(world).await;
    for kind in ["intent", "outcome"] {
        let of_kind: Vec<_> = logged.iter().filter(|entry| entry["kind"] == kind).cloned().collect();
        assert_eq!(by_batch(&of_kind), sent, "{kind}");
    }
    assert_eq!(audited(&format!("transit/sign/{}/sha2-256", world.key)), sent);
}

/// The entries about signatures.
async fn entries(world: &World) -> Vec<Value> {
    let mut entries = world.entries(&format!("key={}&limit=1000", world.key)).await;
    entries.retain(|entry| entry["id"].is_string());
    entries
}

/// How many entries name each batch.
fn by_batch(entries: &[Value]) -> BTreeMap<String, usize> {
    let mut batches = BTreeMap::new();
    for entry in entries {
        *batches.entry(entry["batch"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    batches
}

/// How many signatures each call asked for, by the batch that its header names.
fn items_by_batch(calls: &[Call]) -> BTreeMap<String, usize> {
    let batch = |call: &&Call| {
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let id = call.headers["x-signet-batch-id"].to_str().unwrap().to_owned();
        (id, body["batch_input"].as_array().unwrap().len())
    };
    signing_calls(calls).iter().map(batch).collect()
}

/// The same from Vault's audit log, where the header stands in clear text.
fn audited(path: &str) -> BTreeMap<String, usize> {
    let log = std::fs::read_to_string(servers::path_of("/vault/audit_log")).unwrap();
    let lines = log.lines().filter(|line| line.contains(path));
    let entries = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests = entries.filter(|entry| entry["type"] == "request" && entry["request"]["path"] == path);
    let batch = |entry: Value| {
        let id = entry["request"]["headers"]["x-signet-batch-id"][0].as_str().unwrap().to_owned();
        (id, entry["request"]["data"]["batch_input"].as_array().unwrap().len())
    };
    requests.map(batch).collect()
}
