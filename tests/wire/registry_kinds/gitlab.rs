//! GitLab's registry: no referrers API, and the tag `sha256-<hex>` resolves to the image of that digest. Signatures are of the
//! layout `cosign` there, whatever the image is.

use serde_json::json;

use super::{assert_given_up, attempts, intents, sign_numbered, writes};
use crate::support::World;
use crate::support::attached::{digest_of, sig_tag};
use crate::support::proxy::signing_calls;
use crate::support::traps::{GitLab, problem};
use crate::support::world::Settings;

/// A world in front of GitLab's registry. Its Signet does not know the registry yet.
async fn world(more: &[&str]) -> (World, GitLab) {
    let gitlab = GitLab::start();
    let more = more.iter().map(|line| ("registries", (*line).to_owned()));
    let lines = gitlab.tokens().lines().into_iter().chain(more).collect();
    let world = World::counted_with(Settings { lines, ..Settings::default() }).await;
    world.registry_proxy.break_with(gitlab.rule());
    (world, gitlab)
}

/// An image, an index of an image, and an index of that.
async fn subjects(world: &World) -> [String; 3] {
    let child = world.push_child().await;
    let (index, described) = world.push_index(std::slice::from_ref(&child)).await;
    let (nested, _) = world.push_index(&[described]).await;
    [world.push_image().await, index, nested]
}

#[tokio::test]
async fn the_default_is_cosign_for_images_and_for_indexes_and_the_image_stays_as_it_is() {
    let (world, _gitlab) = world(&[]).await;
    for image in subjects(&world).await {
        let subject = world.tagged(&image, &digest_of(&image).to_string()).await.unwrap();
        for (request, status) in [
            (json!({"image": image}), 201),
            (json!({"image": image}), 200),
            (json!({"image": image, "format": "cosign", "annotations": {"k": "v"}}), 201),
            (json!({"image": image, "recursive": true, "annotations": {"k": "v"}}), 201),
        ] {
            let answer = world.sign(request.clone()).await;
            // An image lists nothing, so that the last request finds everything there.
            assert!([status, 200].contains(&answer.status.as_u16()), "{request}: {answer:?}");
            assert_eq!(answer.body["signatures"][0]["format"], "cosign");
            assert_eq!(answer.body["state"], "attached");
        }
        assert_eq!(world.layers(&image).await.len(), 2);
        assert_eq!(world.tagged(&image, &digest_of(&image).to_string()).await.unwrap(), subject);
    }
}

#[tokio::test]
async fn a_bundle_is_format_unsupported_and_nothing_is_half_done() {
    // Also where the operator has set it as the default.
    for (more, request) in [(&[][..], json!({"format": "bundle"})), (&["format = 'bundle'"], json!({}))] {
        let (world, _gitlab) = world(more).await;
        for image in subjects(&world).await {
            for recursive in [false, true] {
                world.take_all_calls();
                let mut request = request.clone();
                (request["image"], request["recursive"]) = (json!(image), json!(recursive));
                let answer = world.sign(request).await;
                world.assert_problem(&answer, 400, "format-unsupported");
                assert!(answer.detail().contains("resolves to the image itself"), "{}", answer.detail());
                assert!(world.vault_proxy.take_calls().is_empty());
                let calls = world.registry_proxy.take_calls();
                assert!(writes(&calls).is_empty(), "{calls:?}");
            }
            assert_eq!(intents(&world, &image).await, 0);
            let answer = world.sign(json!({"image": image, "format": "cosign"})).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn one_token_serves_all_who_come_at_once() {
    let (world, gitlab) = world(&[]).await;
    let image = world.push_image().await;
    let answers = (0..16).map(|number| sign_numbered(&world, &image, "cosign", number));
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(world.layers(&image).await.len(), 16);
    let (_, name) = world.repository.split_once('/').unwrap();
    assert_eq!(gitlab.tokens().take_asked(), [format!("repository:{name}:pull,push")]);
}

#[tokio::test]
async fn a_token_that_expires_between_two_calls_of_a_request_is_renewed_without_failing() {
    let (world, gitlab) = world(&[]).await;
    let image = world.push_image().await;
    assert_eq!(sign_numbered(&world, &image, "cosign", 0).await.status, 201);
    world.registry_proxy.take_calls();
    assert_eq!(sign_numbered(&world, &image, "cosign", 1).await.status, 201);
    let calls = world.registry_proxy.take_calls().len();
    assert!(calls > 5, "{calls}");
    gitlab.tokens().take_asked();
    for call in 0..calls {
        gitlab.tokens().expire_after(call);
        let answer = sign_numbered(&world, &image, "cosign", 2 + call).await;
        assert_eq!(answer.status, 201, "call {call}: {answer:?}");
        assert_eq!(gitlab.tokens().take_asked().len(), 1, "call {call}");
    }
    assert_eq!(world.layers(&image).await.len(), 2 + calls);
}

#[tokio::test]
async fn a_protected_tag_is_said_with_401_and_is_no_wrong_password() {
    let (world, gitlab) = world(&[]).await;
    let image = world.push_image().await;
    let challenge =
        format!(r#"Bearer realm="http://{}/jwt/auth",service="container_registry""#, gitlab.tokens().host);
    for headers in [vec![], vec![("www-authenticate", challenge)]] {
        let message = format!("tag \"{}\" is protected", sig_tag(&image));
        gitlab.rules.protect(problem(401, headers, "DENIED", &message));
        let answer = sign_numbered(&world, &image, "cosign", 1).await;
        world.assert_problem(&answer, 409, "tag-protected");
        assert!(answer.detail().contains(r"`^sha256-.*\.(sig|att)$`"), "{}", answer.detail());
        assert_given_up(&world, &image, "tag-protected").await;
    }
    gitlab.rules.exclude_signatures();
    let answer = sign_numbered(&world, &image, "cosign", 1).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(attempts(&world, &image).await.len(), 3);
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);
    assert_eq!(world.layers(&image).await.len(), 1);
}
