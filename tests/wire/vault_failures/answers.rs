//! Signing calls that get a bad answer, or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{assert_failed, assert_mended, story};
use crate::support::attached::digest_of;
use crate::support::proxy::{is_signing, signing_calls};
use crate::support::world::Settings;
use crate::support::{Fault, World};

fn errors(status: u16, headers: Vec<(&'static str, String)>) -> Fault {
    Fault::Answer { status, headers, body: json!({"errors": ["it failed at 10.0.0.1:8200"]}).to_string() }
}

/// Vault's own answer, but for what `change` makes of it.
fn changed(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Fault {
    Fault::Change(Arc::new(move |body| {
        let mut body = serde_json::from_slice(body).unwrap();
        change(&mut body);
        body.to_string().into_bytes()
    }))
}

/// Vault's own answer, but for its signature.
fn signature(signature: impl Into<String>) -> Fault {
    let signature = signature.into();
    changed(move |body| body["data"]["batch_results"][0]["signature"] = signature.clone().into())
}

#[tokio::test]
async fn a_bad_answer_releases_nothing_and_the_same_request_succeeds_afterwards() {
    let world = World::counted().await;
    let other = STANDARD.encode(world.vault_signature(b"something else").await);
    let retry = |seconds: &str| vec![("retry-after", seconds.to_owned())];
    let unavailable = |name, fault| (name, fault, 503, "vault-unavailable", 2);
    let cases = [
        unavailable("down", Fault::Cut),
        unavailable("cut in the middle", Fault::CutAnswer),
        unavailable("lost", Fault::LoseAnswer),
        ("403", errors(403, vec![]), 502, "vault-denied", 30),
        ("429, in 7 s", errors(429, retry("7")), 503, "vault-unavailable", 7),
        unavailable("429", errors(429, vec![])),
        unavailable("400", errors(400, vec![])),
        unavailable("404", errors(404, vec![])),
        unavailable("412", errors(412, vec![])),
        unavailable("500", errors(500, vec![])),
        unavailable("502", errors(502, vec![])),
        unavailable("503 and not sealed", errors(503, vec![])),
        unavailable("a redirect", errors(307, vec![("location", "http://127.0.0.1:1/v1/".into())])),
        unavailable("a page of a proxy", html()),
        unavailable("null", changed(|body| *body = Value::Null)),
        unavailable("no data", changed(|body| body["data"] = Value::Null)),
        unavailable("no results", changed(|body| body["data"]["batch_results"] = json!([]))),
        unavailable(
            "a result too many",
            changed(|body| {
                let results = body["data"]["batch_results"].as_array_mut().unwrap();
                results.push(results[0].clone());
            }),
        ),
        unavailable(
            "another order",
            changed(|body| body["data"]["batch_results"][0]["reference"] = "7".into()),
        ),
        unavailable(
            "an item's error",
            changed(|body| {
                body["data"]["batch_results"][0] =
                    json!({"reference": "0", "error": "it failed at 10.0.0.1:8200"});
            }),
        ),
        unavailable("another signature", signature(format!("vault:v1:{other}"))),
        unavailable("another version", signature(format!("vault:v2:{other}"))),
        unavailable("no version", signature(other.as_str())),
        unavailable("no signature", signature("vault:v1:")),
        unavailable("no base64", signature("vault:v1:§")),
        unavailable("an empty text", signature("")),
    ];
    for (name, fault, status, code, seconds) in cases {
        let image = world.push_image().await;
        world.vault_proxy.break_with(move |call| is_signing(call).then(|| fault.clone()));
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
    // The first call waits, so that the others share the second.
    let gate = Arc::new(Semaphore::new(0));
    let (opened, calls) = (gate.clone(), AtomicUsize::new(0));
    world.vault_proxy.break_with(move |call| {
        if !is_signing(call) {
            return None;
        }
        if calls.fetch_add(1, Ordering::SeqCst) < 1 {
            return Some(Fault::Gate(gate.clone()));
        }
        Some(signature(wrong.as_str()))
    });
    let [first, others @ ..] = &images[..] else { unreachable!("there are eight") };
    let under_way = world.sign_image(first);
    let meanwhile = async {
        world
            .eventually("the first is alone with Vault", async || {
                (signing_calls(&world.vault_proxy.calls()).len() == 1).then_some(())
            })
            .await;
        futures::future::join_all(others.iter().map(|image| world.sign_image(image))).await
    };
    let opening = async {
        // Seven wait for a call: then the one that is under way may end.
        world
            .eventually("seven wait", async || {
                (world.metric("signet_signing_queue").await == 7.0).then_some(())
            })
            .await;
        opened.add_permits(1);
    };
    let (answer, answers, ()) = tokio::join!(under_way, meanwhile, opening);
    let answers: Vec<_> = std::iter::once(answer).chain(answers).collect();
    let (signed, failed): (Vec<_>, Vec<_>) =
        images.iter().zip(&answers).partition(|(_, answer)| answer.status == 201);
    assert_eq!((signed.len(), failed.len()), (7, 1), "{answers:?}");
    let [(image, answer)] = failed[..] else { unreachable!("there is one") };
    assert_failed(&world, image, answer, 503, "vault-unavailable").await;
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 2);
}
