//! Signing calls that get a bad answer, or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{assert_failed, assert_mended, story};
use crate::support::attached::digest_of;
use crate::support::proxy::{Call, signing_calls};
use crate::support::world::Settings;
use crate::support::{Fault, World};

fn is_signing(call: &Call) -> bool {
    call.path.contains("/sign/")
}

fn errors(status: u16, headers: Vec<(&'static str, String)>) -> Fault {
    Fault::Answer { status, headers, body: json!({"errors": ["it failed at 10.0.0.1:8200"]}).to_string() }
}

/// Answers as Vault would to `call`, with `signature` for each item.
fn signed(call: &Call, signature: &str) -> Value {
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let result =
        |item: &Value| json!({"signature": signature, "reference": item["reference"], "key_version": 1});
    let results: Vec<_> = body["batch_input"].as_array().unwrap().iter().map(result).collect();
    json!({"request_id": "r", "data": {"batch_results": results}})
}

fn ok(body: &Value) -> Fault {
    Fault::Answer { status: 200, headers: Vec::new(), body: body.to_string() }
}

#[tokio::test]
async fn a_bad_answer_releases_nothing_and_the_same_request_succeeds_afterwards() {
    let world = World::counted().await;
    let other = STANDARD.encode(world.vault_signature(b"something else").await);
    let (wrong, of_version_2) = (format!("vault:v1:{other}"), format!("vault:v2:{other}"));
    let retry = |seconds: &str| vec![("retry-after", seconds.to_owned())];
    type Rule = Box<dyn Fn(&Call) -> Fault + Send + Sync>;
    let cases: Vec<(&str, Rule, u16, &str, u64)> = vec![
        ("down", Box::new(|_| Fault::Cut), 503, "vault-unavailable", 2),
        ("cut in the middle", Box::new(|_| Fault::CutAnswer), 503, "vault-unavailable", 2),
        ("lost", Box::new(|_| Fault::LoseAnswer), 503, "vault-unavailable", 2),
        ("403", Box::new(|_| errors(403, vec![])), 502, "vault-denied", 30),
        ("429", Box::new(move |_| errors(429, retry("7"))), 503, "vault-unavailable", 7),
        ("429, no time", Box::new(|_| errors(429, vec![])), 503, "vault-unavailable", 2),
        ("400", Box::new(|_| errors(400, vec![])), 503, "vault-unavailable", 2),
        ("404", Box::new(|_| errors(404, vec![])), 503, "vault-unavailable", 2),
        ("412", Box::new(|_| errors(412, vec![])), 503, "vault-unavailable", 2),
        ("500", Box::new(|_| errors(500, vec![])), 503, "vault-unavailable", 2),
        ("502", Box::new(|_| errors(502, vec![])), 503, "vault-unavailable", 2),
        ("503 and not sealed", Box::new(|_| errors(503, vec![])), 503, "vault-unavailable", 2),
        (
            "a redirect",
            Box::new(|_| errors(307, vec![("location", "http://127.0.0.1:1/v1/".into())])),
            503,
            "vault-unavailable",
            2,
        ),
        ("a page of a proxy", Box::new(|_| html()), 503, "vault-unavailable", 2),
        ("null", Box::new(|_| ok(&Value::Null)), 503, "vault-unavailable", 2),
        ("no data", Box::new(|_| ok(&json!({"request_id": "r"}))), 503, "vault-unavailable", 2),
        (
            "no results",
            Box::new(|_| ok(&json!({"request_id": "r", "data": {"batch_results": []}}))),
            503,
            "vault-unavailable",
            2,
        ),
        ("another signature", Box::new(move |call| ok(&signed(call, &wrong))), 503, "vault-unavailable", 2),
        (
            "another version",
            Box::new(move |call| ok(&signed(call, &of_version_2))),
            503,
            "vault-unavailable",
            2,
        ),
        ("no signature", Box::new(|call| ok(&signed(call, "vault:v1:"))), 503, "vault-unavailable", 2),
        ("no base64", Box::new(|call| ok(&signed(call, "vault:v1:§"))), 503, "vault-unavailable", 2),
        ("an empty text", Box::new(|call| ok(&signed(call, ""))), 503, "vault-unavailable", 2),
    ];
    for (name, fault, status, code, seconds) in cases {
        let image = world.push_image().await;
        world.vault_proxy.break_with(move |call| is_signing(call).then(|| fault(call)));
        let answer = world.sign_image(&image).await;
        assert_failed(&world, &image, &answer, status, code).await;
        assert_eq!(answer.retry_after(), Some(seconds), "{name}");
        assert!(!answer.detail().contains("10.0.0.1"), "{name}: {}", answer.detail());
        world.vault_proxy.mend();
        let story = story(&world, digest_of(&image)).await;
        assert_eq!(story.len(), 2, "{name}");
        assert_mended(&world, &image).await;
    }
}

fn html() -> Fault {
    let headers = vec![("content-type", "text/html".to_owned())];
    Fault::Answer { status: 200, headers, body: "<html>Log in".to_owned() }
}

#[tokio::test]
async fn a_short_wait_that_vault_asks_for_is_waited_here() {
    let world = World::counted().await;
    let image = world.push_image().await;
    let asked = AtomicUsize::new(0);
    world.vault_proxy.break_with(move |call| {
        let first = is_signing(call) && asked.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| errors(429, vec![("retry-after", "1".to_owned())]))
    });
    assert_eq!(world.sign_image(&image).await.status, 201);
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 2);
}

#[tokio::test]
async fn a_vault_that_does_not_answer_is_504_after_its_time() {
    let lines = vec![("vault", "request_timeout = '300ms'".to_owned())];
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    let image = world.push_image().await;
    world.vault_proxy.break_with(|call| is_signing(call).then_some(Fault::Hang));
    let answer = world.sign_image(&image).await;
    assert_failed(&world, &image, &answer, 504, "timeout").await;
    assert!(answer.detail().contains("300ms"), "{}", answer.detail());
    world.vault_proxy.mend();
    assert_mended(&world, &image).await;
}

#[tokio::test]
async fn one_failed_call_fails_all_who_shared_it_and_all_can_try_again() {
    let world = World::counted().await;
    let images = futures::future::join_all((0..16).map(|_| world.push_image())).await;
    world.vault_proxy.break_with(|call| is_signing(call).then(|| errors(500, vec![])));
    for answer in futures::future::join_all(images.iter().map(|image| world.sign_image(image))).await {
        world.assert_problem(&answer, 503, "vault-unavailable");
    }
    world.vault_proxy.mend();
    for answer in futures::future::join_all(images.iter().map(|image| world.sign_image(image))).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    for image in &images {
        assert_eq!(world.signatures(image).await, 1);
    }
}

#[tokio::test]
async fn one_wrong_signature_in_a_shared_call_fails_its_owner_alone() {
    let world = World::counted().await;
    let images = futures::future::join_all((0..8).map(|_| world.push_image())).await;
    let wrong = format!("vault:v1:{}", STANDARD.encode(world.vault_signature(b"something else").await));
    // The first two calls wait, so that the others share the third.
    let gate = Arc::new(Semaphore::new(0));
    let (opened, calls) = (gate.clone(), AtomicUsize::new(0));
    world.vault_proxy.break_with(move |call| {
        if !is_signing(call) {
            return None;
        }
        if calls.fetch_add(1, Ordering::SeqCst) < 2 {
            return Some(Fault::Gate(gate.clone()));
        }
        let wrong = wrong.clone();
        Some(Fault::Change(Arc::new(move |body| {
            let mut body: Value = serde_json::from_slice(body).unwrap();
            body["data"]["batch_results"][0]["signature"] = wrong.clone().into();
            body.to_string().into_bytes()
        })))
    });
    let requests = futures::future::join_all(images.iter().map(|image| world.sign_image(image)));
    let opening = async {
        // Six wait for a call: then the two that are under way may end.
        world
            .eventually("six wait", async || {
                (world.metric("signet_signing_queue").await == 6.0).then_some(())
            })
            .await;
        opened.add_permits(2);
    };
    let (answers, ()) = tokio::join!(requests, opening);
    let (signed, failed): (Vec<_>, Vec<_>) =
        images.iter().zip(&answers).partition(|(_, answer)| answer.status == 201);
    assert_eq!((signed.len(), failed.len()), (7, 1), "{answers:?}");
    let [(image, answer)] = failed[..] else { unreachable!("there is one") };
    assert_failed(&world, image, answer, 503, "vault-unavailable").await;
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 3);
}
