//! The same request again gives what is there, and changes nothing. Only what verifies is there.

mod concurrency;
mod foreign;
mod layouts;
mod restarts;
mod rotation;

use serde_json::{Value, json};

use crate::support::attached::digest_of;
use crate::support::{Answer, World};

const FORMATS: [&str; 2] = ["cosign", "bundle"];

/// Signs `image` in `format`.
async fn sign(world: &World, image: &str, format: &str) -> Answer {
    world.sign(json!({"image": image, "format": format})).await
}

/// The log's entries of one kind about an image.
async fn entries(world: &World, image: &str, kind: &str) -> Vec<Value> {
    world.entries(&format!("digest={}&kind={kind}", digest_of(image))).await
}

/// Asserts that `answer` speaks of what was there already.
#[track_caller]
fn assert_found(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["state"], "attached", "{answer:?}");
    assert_eq!(answer.body["signatures"][0]["created"], false, "{answer:?}");
}

/// Asserts that `answer` speaks of something that was made just now.
#[track_caller]
fn assert_made(answer: &Answer) {
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["state"], "attached", "{answer:?}");
    assert_eq!(answer.body["signatures"][0]["created"], true, "{answer:?}");
}
