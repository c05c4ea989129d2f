//! Token services that many ask at once: ECR's takes 20 requests a second, and says 429 beyond.

use super::sign_numbered;
use crate::support::World;
use crate::support::proxy::signing_calls;
use crate::support::token_host::TokenHost;
use crate::support::world::Settings;

async fn world() -> (World, TokenHost) {
    let tokens = TokenHost::start();
    let world = World::counted_with(Settings { lines: tokens.lines(), ..Settings::default() }).await;
    let registry = tokens.clone();
    world.registry_proxy.break_with(move |call| registry.challenge(call));
    (world, tokens)
}

#[tokio::test]
async fn a_token_service_that_asks_for_a_pause_gets_it_and_nobody_fails() {
    for after in [None, Some(1)] {
        let (world, tokens) = world().await;
        tokens.refuse(&[(429, after)]);
        let image = world.push_image().await;
        let answers = (0..16).map(|number| sign_numbered(&world, &image, "cosign", number));
        for answer in futures::future::join_all(answers).await {
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        assert_eq!(tokens.take_asked().len(), 2);
        assert_eq!(world.layers(&image).await.len(), 16);
    }
}

#[tokio::test]
async fn a_long_pause_is_passed_on_to_all_and_the_service_is_not_asked_meanwhile() {
    let (world, tokens) = world().await;
    tokens.refuse(&[(429, Some(60))]);
    let image = world.push_image().await;
    let elsewhere = world.push_image_below("elsewhere").await;
    // The first meets the service; the others come while it wants to be left alone, also for another repository.
    let mut answers = vec![sign_numbered(&world, &image, "cosign", 0).await];
    let rest = [&image, &image, &elsewhere, &elsewhere];
    let rest = rest.iter().enumerate().map(|(number, image)| sign_numbered(&world, image, "cosign", number));
    answers.extend(futures::future::join_all(rest).await);
    for answer in answers {
        world.assert_problem(&answer, 503, "registry-unavailable");
        assert!(answer.retry_after().is_some_and(|after| (50..=60).contains(&after)), "{answer:?}");
    }
    assert_eq!(tokens.take_asked().len(), 1);
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
}

#[tokio::test]
async fn a_token_service_that_fails_leads_to_no_signature() {
    for (status, code) in
        [(500, "registry-unavailable"), (503, "registry-unavailable"), (403, "registry-denied")]
    {
        let (world, tokens) = world().await;
        // Three attempts of each of the three calls that ask what the image has.
        tokens.refuse(&[(status, None); 9]);
        let image = world.push_image().await;
        let answer = sign_numbered(&world, &image, "cosign", 0).await;
        world.assert_problem(&answer, 502, code);
        assert!(world.vault_proxy.take_calls().is_empty());
        tokens.refuse(&[]);
        assert_eq!(sign_numbered(&world, &image, "cosign", 0).await.status, 201);
    }
}
