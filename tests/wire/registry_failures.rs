//! A registry fails: "could not tell" is never "unsigned", nothing half-made is called signed, and what was signed is not
//! signed again.

mod answers;
mod occupied;
mod reading;
mod steps;

use serde_json::{Value, json};

use crate::support::attached::digest_of;
use crate::support::{Answer, World};

/// Signs `image` in `format`.
async fn sign(world: &World, image: &str, format: &str) -> Answer {
    world.sign(json!({"image": image, "format": format})).await
}

/// The log's entries of one kind about an image.
async fn entries(world: &World, image: &str, kind: &str) -> Vec<Value> {
    world.entries(&format!("digest={}&kind={kind}", digest_of(image))).await
}
