//! `POST /v1/verifications`.

mod attestations;
mod bad_input;
mod could_not_tell;
mod layouts;
mod signed;
mod tampered;

use serde_json::{Value, json};

use crate::support::world::Settings;
use crate::support::{Answer, World};

/// A world whose Signet does not look again at what it attached: it would put back what is tampered with.
async fn world() -> World {
    let lines = vec![("attach", "look_again = ['1h']".to_owned())];
    World::with(Settings { lines, ..Settings::default() }).await
}

/// Asks whether `image` is signed with this world's key.
async fn verify(world: &World, image: &str, more: Value) -> Answer {
    let mut request = json!({"image": image, "key": world.key});
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    world.post("/v1/verifications", &world.token, request.to_string()).await
}

/// The state and the verdicts of an answer, as `signed: verified, other-key`.
#[track_caller]
fn verdicts(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let found = answer.body["signatures"].as_array().unwrap().iter();
    let verdicts: Vec<_> = found.map(|found| found["verdict"].as_str().unwrap()).collect();
    let state = answer.body["state"].as_str().unwrap();
    assert_eq!(state == "signed", verdicts.contains(&"verified"), "{answer:?}");
    format!("{state}: {}", verdicts.join(", ")).trim_end_matches([':', ' ']).to_owned()
}

async fn verdicts_of(world: &World, image: &str, more: Value) -> String {
    verdicts(&verify(world, image, more).await)
}

/// An image that Signet signed as `more` says, with Signet's answer.
async fn signed(world: &World, more: Value) -> (String, Value) {
    let image = world.push_image().await;
    let mut request = json!({"image": image});
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    let answer = world.sign(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    (image, answer.body)
}
