//! Vault fails: nothing is released, the caller hears what to do, and no restart is needed afterwards.

mod answers;
mod states;

use serde_json::Value;
use signet::domain::Digest;

use crate::support::attached::digest_of;
use crate::support::{Answer, World};

/// Asserts that a signature of `image` failed as `code`: nothing hangs on the image, and the log says what happened.
async fn assert_failed(world: &World, image: &str, answer: &Answer, status: u16, code: &str) {
    world.assert_problem(answer, status, code);
    assert_eq!(world.signatures(image).await, 0, "{code}: something was attached");
    let entries = story(world, digest_of(image)).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["intent", "outcome"], "{code}");
    assert_eq!((&entries[1]["result"], &entries[1]["code"]), (&"failed".into(), &code.into()), "{entries:?}");
    assert_eq!(entries[1]["request_id"], answer.body["request_id"]);
    let id = entries[0]["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/signatures/{id}")).await.body["state"], "failed");
}

/// Asserts that the same request succeeds now, and that the image has one signature then.
async fn assert_mended(world: &World, image: &str) {
    let answer = world.sign_image(image).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["state"], "attached");
    assert_eq!(world.signatures(image).await, 1);
}

/// Everything that the log has of an image, oldest first.
async fn story(world: &World, digest: Digest) -> Vec<Value> {
    world.entries(&format!("digest={digest}")).await
}
