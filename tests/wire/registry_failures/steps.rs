//! The registry breaks at each single call of one signature's way.

use std::collections::HashMap;
use std::sync::Mutex;

use futures::future::join_all;
use reqwest::StatusCode;

use super::{entries, sign};
use crate::support::world::Settings;
use crate::support::{Fault, World};

/// How long it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// This call alone.
    Once,
    /// This call and all that follow.
    FromThenOn,
}

/// For each call that signing makes, an image in a repository of its own whose signature breaks there.
async fn break_each_step(format: &'static str, span: Span, fault: Fault) {
    for world in World::in_each_registry(Settings::default()).await {
        let name = world.registry.name.clone();
        // Twice: what is learnt of a registry with the first image makes the way of the second shorter.
        let mut steps = 0;
        for _ in 0..2 {
            let image = world.push_image_below("whole").await;
            world.registry_proxy.take_calls();
            assert_eq!(sign(&world, &image, format).await.status, 201, "{name}");
            steps = steps.max(world.registry_proxy.take_calls().len());
        }
        let images = join_all(
            (0..steps).map(async |step| (step, world.push_image_below(&format!("step-{step}")).await)),
        )
        .await;
        let (seen, fault) = (Mutex::new(HashMap::<usize, usize>::new()), fault.clone());
        world.registry_proxy.break_with(move |call| {
            let (_, rest) = call.path.split_once("/step-")?;
            let step: usize = rest.split('/').next()?.parse().ok()?;
            let mut seen = seen.lock().unwrap();
            let count = seen.entry(step).or_default();
            let here = *count == step || (span == Span::FromThenOn && *count > step);
            *count += 1;
            here.then(|| fault.clone())
        });
        let answers = join_all(images.iter().map(|(_, image)| sign(&world, image, format))).await;
        for ((step, image), answer) in images.iter().zip(&answers) {
            let what = format!("{name}, {format}, call {step} broken");
            match (span, answer.status) {
                (Span::Once, StatusCode::CREATED) => assert_eq!(world.signatures(image).await, 1, "{what}"),
                _ => {
                    world.assert_problem(answer, 502, "registry-unavailable");
                    // The log calls attached only what was read back.
                    let attached = entries(&world, image, "attach").await;
                    assert!(attached.iter().all(|entry| entry["result"] == "failed"), "{what}: {attached:?}");
                    for signed in entries(&world, image, "outcome").await {
                        let id = signed["id"].as_str().unwrap();
                        let state = world.get(&format!("/v1/signatures/{id}")).await.body["state"].clone();
                        assert_eq!(state, "signed", "{what}");
                    }
                }
            }
        }
        world.registry_proxy.mend();
        for (step, image) in &images {
            let what = format!("{name}, {format}, call {step} was broken");
            let answer = sign(&world, image, format).await;
            assert!(matches!(answer.status.as_u16(), 200 | 201), "{what}: {answer:?}");
            assert_eq!(answer.body["state"], "attached", "{what}");
            assert_eq!(world.signatures(image).await, 1, "{what}");
            // It was never signed again because attaching had failed.
            assert_eq!(entries(&world, image, "intent").await.len(), 1, "{what}");
            assert!(entries(&world, image, "adopted").await.is_empty(), "{what}");
            assert_eq!(sign(&world, image, format).await.status, 200, "{what}");
        }
    }
}

#[tokio::test]
async fn a_cosign_signature_survives_one_cut_call() {
    break_each_step("cosign", Span::Once, Fault::Cut).await;
}

#[tokio::test]
async fn a_cosign_signature_survives_one_lost_answer() {
    break_each_step("cosign", Span::Once, Fault::LoseAnswer).await;
}

#[tokio::test]
async fn a_cosign_signature_survives_a_registry_that_goes_down() {
    break_each_step("cosign", Span::FromThenOn, Fault::Cut).await;
}

#[tokio::test]
async fn a_cosign_signature_survives_a_registry_whose_answers_get_lost() {
    break_each_step("cosign", Span::FromThenOn, Fault::LoseAnswer).await;
}

#[tokio::test]
async fn a_cosign_signature_survives_a_registry_whose_answers_are_cut() {
    break_each_step("cosign", Span::FromThenOn, Fault::CutAnswer).await;
}

#[tokio::test]
async fn a_cosign_signature_survives_a_registry_that_answers_500() {
    break_each_step("cosign", Span::FromThenOn, Fault::status(500)).await;
}

#[tokio::test]
async fn a_bundle_survives_one_cut_call() {
    break_each_step("bundle", Span::Once, Fault::Cut).await;
}

#[tokio::test]
async fn a_bundle_survives_one_lost_answer() {
    break_each_step("bundle", Span::Once, Fault::LoseAnswer).await;
}

#[tokio::test]
async fn a_bundle_survives_a_registry_that_goes_down() {
    break_each_step("bundle", Span::FromThenOn, Fault::Cut).await;
}

#[tokio::test]
async fn a_bundle_survives_a_registry_whose_answers_get_lost() {
    break_each_step("bundle", Span::FromThenOn, Fault::LoseAnswer).await;
}

#[tokio::test]
async fn a_bundle_survives_a_registry_whose_answers_are_cut() {
    break_each_step("bundle", Span::FromThenOn, Fault::CutAnswer).await;
}

#[tokio::test]
async fn a_bundle_survives_a_registry_that_answers_500() {
    break_each_step("bundle", Span::FromThenOn, Fault::status(500)).await;
}
