//! Registries of other makes, each with what breaks signers there: a proxy does what is known of them before the registry at
//! hand. Nothing is half-made, nothing of others is lost, and the caller is told what to do.

mod acr;
mod artifactory;
mod docker_hub;
mod ghcr;
mod gitlab;
mod quay;
mod tag_rules;
mod token_services;

use serde_json::{Value, json};

use crate::support::attached::digest_of;
use crate::support::proxy::Call;
use crate::support::{Answer, World};

const FORMATS: [&str; 2] = ["cosign", "bundle"];

/// Signs `image` in `format`, with an annotation that makes it another signature than those with other numbers.
async fn sign_numbered(world: &World, image: &str, format: &str, number: usize) -> Answer {
    world.sign(json!({"image": image, "format": format, "annotations": {"number": number.to_string()}})).await
}

/// How the attempts to attach to this image ended, oldest first, with their codes.
async fn attempts(world: &World, image: &str) -> Vec<(String, Value)> {
    let entries = world.entries(&format!("digest={}&kind=attach", digest_of(image))).await;
    entries
        .iter()
        .map(|entry| (entry["result"].as_str().unwrap().to_owned(), entry["code"].clone()))
        .collect()
}

/// How often Signet decided to sign this image.
async fn intents(world: &World, image: &str) -> usize {
    world.entries(&format!("digest={}&kind=intent", digest_of(image))).await.len()
}

/// Asserts that what was signed for this image is in the log, is given up for `code`, and is not tried any more.
async fn assert_given_up(world: &World, image: &str, code: &str) {
    let attempts = attempts(world, image).await;
    assert_eq!(attempts.last(), Some(&("given-up".to_owned(), json!(code))), "{attempts:?}");
    let entries = world.entries(&format!("digest={}&kind=attach", digest_of(image))).await;
    let id = entries.last().unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("/v1/signatures/{id}")).await.body["state"], "failed");
}

/// The calls that change something.
fn writes(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|call| call.method != "GET" && call.method != "HEAD").collect()
}
