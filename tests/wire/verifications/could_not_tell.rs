//! A registry that does not say: an error, and never `unsigned`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{signed, verdicts, verdicts_of, verify};
use crate::support::proxy::Call;
use crate::support::world::Settings;
use crate::support::{Fault, World};

type IsIt = fn(&Call) -> bool;

/// The questions of one verification.
const QUESTIONS: [(&str, &str, IsIt); 5] = [
    ("the image", "cosign", |call| call.method == "HEAD"),
    ("the tag", "cosign", |call| call.path.ends_with(".sig")),
    ("a payload", "cosign", |call| call.path.contains("/blobs/")),
    ("the referrers", "bundle", |call| {
        call.path.contains("/referrers/")
            || (call.path.contains("/manifests/sha256-") && !call.path.ends_with(".sig"))
    }),
    ("a bundle", "bundle", |call| call.path.contains("/blobs/")),
];

fn answer(status: u16) -> Fault {
    let challenge = vec![("www-authenticate", "Basic realm=\"r\"".to_owned())];
    Fault::Answer { status, headers: if status == 401 { challenge } else { vec![] }, body: "{}".to_owned() }
}

#[tokio::test]
async fn a_registry_that_does_not_say_is_an_error_and_never_unsigned() {
    let world = World::start().await;
    for (question, format, is_it) in QUESTIONS {
        let (image, _) = signed(&world, json!({"format": format})).await;
        for (fault, status, code) in [
            (answer(401), 502, "registry-denied"),
            (answer(403), 502, "registry-denied"),
            (answer(429), 503, "registry-unavailable"),
            (answer(500), 502, "registry-unavailable"),
            (answer(503), 502, "registry-unavailable"),
            (Fault::Cut, 502, "registry-unavailable"),
            (Fault::CutAnswer, 502, "registry-unavailable"),
        ] {
            if question == "the image" && matches!(fault, Fault::CutAnswer) {
                // An answer to HEAD has no middle.
                continue;
            }
            world.registry_proxy.break_with(move |call| is_it(call).then(|| fault.clone()));
            let answer = verify(&world, &image, json!({})).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{question}: {answer:?}");
            world.assert_problem(&answer, status, code);
        }
        world.registry_proxy.mend();
        assert_eq!(verdicts_of(&world, &image, json!({})).await, "signed: verified", "{question}");
    }
}

#[tokio::test]
async fn a_registry_that_hangs_is_504_after_its_time() {
    let lines = vec![("registries", "request_timeout = '300ms'".to_owned())];
    let world = World::with(Settings { lines, ..Settings::default() }).await;
    for (question, format, is_it) in QUESTIONS {
        let (image, _) = signed(&world, json!({"format": format})).await;
        world.registry_proxy.break_with(move |call| is_it(call).then_some(Fault::Hang));
        let answer = verify(&world, &image, json!({})).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (504, "timeout"), "{question}: {answer:?}");
        world.registry_proxy.mend();
        assert_eq!(verdicts_of(&world, &image, json!({})).await, "signed: verified", "{question}");
    }
}

#[tokio::test]
async fn a_verification_ends_with_the_time_of_its_request() {
    let lines =
        vec![("limits", "request_timeout = '400ms'".to_owned()), ("limits", "in_flight = 1".to_owned())];
    let world = World::with(Settings { lines, ..Settings::default() }).await;
    let image = world.push_image().await;
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "unsigned");
    world.registry_proxy.break_with(|_| Some(Fault::Hang));
    world.assert_problem(&verify(&world, &image, json!({})).await, 504, "timeout");
    world.registry_proxy.mend();
    // Its place is free again, long before the registry's own timeout.
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "unsigned");
}

#[tokio::test]
async fn one_signature_that_can_not_be_fetched_does_not_hide_another() {
    let world = World::start().await;
    let (image, _) = signed(&world, json!({"annotations": {"n": "1"}})).await;
    assert_eq!(world.sign(json!({"image": image, "annotations": {"n": "2"}})).await.status, 201);
    let blob = verify(&world, &image, json!({})).await.body["signatures"][0]["blob"].clone();
    for (fault, verdict) in [
        (answer(500), "could-not-tell"),
        (answer(404), "payload-missing"),
        (Fault::Announce(100 * 1024 * 1024), "too-large"),
    ] {
        let blob = blob.as_str().unwrap().to_owned();
        world.registry_proxy.break_with(move |call| call.path.ends_with(&blob).then(|| fault.clone()));
        let began = Instant::now();
        let answer = verify(&world, &image, json!({})).await;
        assert_eq!(verdicts(&answer), format!("signed: {verdict}, verified"));
        assert!(began.elapsed() < Duration::from_secs(10), "{verdict} took {:?}", began.elapsed());
        // With the other one alone.
        let answer = verify(&world, &image, json!({"annotations": {"n": "1"}})).await;
        match verdict {
            "could-not-tell" => world.assert_problem(&answer, 502, "registry-unavailable"),
            _ => assert_eq!(verdicts(&answer), format!("unsigned: {verdict}, annotations-missing")),
        }
    }
}

#[tokio::test]
async fn a_blob_that_is_announced_and_not_sent_holds_nothing_up() {
    let world = World::start().await;
    for format in ["cosign", "bundle"] {
        let (image, _) = signed(&world, json!({"format": format})).await;
        let is_blob = |call: &Call| call.path.contains("/blobs/");
        world.registry_proxy.break_with(move |call| is_blob(call).then_some(Fault::Announce(100 << 20)));
        let began = Instant::now();
        assert_eq!(verdicts_of(&world, &image, json!({})).await, "unsigned: too-large");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        world.registry_proxy.mend();
    }
}
