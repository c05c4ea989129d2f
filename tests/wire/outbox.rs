//! What is signed reaches its registry, whatever happens in between, and stays there.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::attached::{digest_of, sig_tag};
use crate::support::proxy::signing_calls;
use crate::support::world::Settings;
use crate::support::{Fault, World, image};

const FORMATS: [&str; 2] = ["cosign", "bundle"];

fn settings(lines: &[&str]) -> Settings {
    Settings {
        lines: lines.iter().map(|line| ("attach", (*line).to_owned())).collect(),
        ..Settings::default()
    }
}

/// How the attempts to attach to this image ended, oldest first.
async fn attempts(world: &World, image: &str) -> Vec<String> {
    let entries = world.entries(&format!("digest={}&kind=attach", digest_of(image))).await;
    entries.iter().map(|entry| entry["result"].as_str().unwrap().to_owned()).collect()
}

async fn state(world: &World, id: &Value) -> String {
    let answer = world.get(&format!("/v1/signatures/{}", id.as_str().unwrap())).await;
    answer.body["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_the_registry_did_not_take_is_attached_when_it_does_and_not_signed_again() {
    for format in FORMATS {
        let world = World::counted().await;
        let image = world.push_image().await;
        world
            .registry_proxy
            .break_with(|call| (call.method != "GET" && call.method != "HEAD").then(|| Fault::status(403)));
        let answer = world.sign(json!({"image": image, "format": format})).await;
        world.assert_problem(&answer, 502, "registry-denied");
        world.registry_proxy.mend();
        let attached = async || (world.signatures(&image).await == 1).then_some(());
        world.eventually("the outbox attaches it", attached).await;
        let logged = async || (attempts(&world, &image).await == ["failed", "attached"]).then_some(());
        world.eventually("the log says so", logged).await;
        let again = world.sign(json!({"image": image, "format": format})).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1);
    }
}

#[tokio::test]
async fn what_was_signed_before_a_crash_is_attached_after_it_without_being_asked_for() {
    for format in FORMATS {
        let mut world = World::counted().await;
        let image = world.push_image().await;
        world
            .registry_proxy
            .break_with(|call| (call.method == "POST").then(|| Fault::Gate(Arc::new(Semaphore::new(0)))));
        let request =
            world.client.post(format!("{}/v1/signatures", world.signet.api)).bearer_auth(&world.token);
        let request = request.body(json!({"image": image, "format": format}).to_string()).send();
        let request = tokio::spawn(request);
        let query = format!("digest={}&kind=outcome", digest_of(&image));
        let signed = async || (!world.entries(&query).await.is_empty()).then_some(());
        world.eventually("it is signed", signed).await;
        world.signet.kill();
        assert!(request.await.unwrap().is_err());
        world.registry_proxy.mend();
        world.serve();
        let attached = async || (world.signatures(&image).await == 1).then_some(());
        world.eventually("the outbox attaches it", attached).await;
        let again = world.sign(json!({"image": image, "format": format})).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1, "it was not signed again");
    }
}

#[tokio::test]
async fn who_does_not_want_to_wait_gets_a_signature_that_is_on_its_way() {
    let world = World::start().await;
    let image = world.push_image().await;
    let gate = Arc::new(Semaphore::new(0));
    let rule = gate.clone();
    world.registry_proxy.break_with(move |call| (call.method == "POST").then(|| Fault::Gate(rule.clone())));
    let answer = world
        .post_with("/v1/signatures", &[("Prefer", "respond-async, wait=10")], json!({"image": image}))
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.headers["preference-applied"], "respond-async");
    assert_eq!(answer.body["state"], "signed");
    assert!(answer.body["signatures"][0]["signature"].is_string());
    let id = &answer.body["id"];
    assert_eq!(answer.headers["location"], format!("/v1/signatures/{}", id.as_str().unwrap()));
    assert_eq!(state(&world, id).await, "signed");
    assert_eq!(world.signatures(&image).await, 0);
    gate.add_permits(1000);
    let attached = async || (state(&world, id).await == "attached").then_some(());
    world.eventually("it is attached", attached).await;
    assert_eq!(world.signatures(&image).await, 1);
    let again =
        world.post_with("/v1/signatures", &[("Prefer", "respond-async")], json!({"image": image})).await;
    assert_eq!(again.status, 200, "{again:?}");
}

#[tokio::test]
async fn who_does_not_want_to_wait_is_still_told_what_can_not_be_signed() {
    let world = World::counted().await;
    let image = world.image(signet::domain::Digest::of(b"nowhere"));
    let answer =
        world.post_with("/v1/signatures", &[("Prefer", "respond-async")], json!({"image": image})).await;
    world.assert_problem(&answer, 404, "image-not-found");
}

#[tokio::test]
async fn a_signature_that_somebody_overwrote_is_put_back_and_both_are_logged() {
    for format in FORMATS {
        // It is also looked at again before it is overwritten, and once more however long that takes.
        let world = World::with(settings(&["look_again = ['500ms', '1s', '2s', '4s', '8s', '16s']"])).await;
        let image = world.push_image().await;
        let answer = world.sign(json!({"image": image, "format": format})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        // A look in the midst of it would see half of it, and mend that.
        world.registry_proxy.break_with(|_| Some(Fault::status(503)));
        overwrite(&world, &image, format).await;
        assert_eq!(world.signatures(&image).await, 0, "{format}: nothing of ours is left");
        world.registry_proxy.mend();
        let back = async || (world.signatures(&image).await == 1).then_some(());
        world.eventually("it is put back", back).await;
        let logged =
            async || (attempts(&world, &image).await == ["attached", "missing", "attached"]).then_some(());
        world.eventually("both are logged", logged).await;
        assert_eq!(state(&world, &answer.body["id"]).await, "attached");
    }
}

/// What a client does that read before we wrote: it writes what it knew, which was nothing.
async fn overwrite(world: &World, image: &str, format: &str) {
    let base = world.upstream_of(image);
    match format {
        "cosign" => {
            let (_, mut manifest) = world.tagged(image, &sig_tag(image)).await.unwrap();
            manifest["layers"] = json!([]);
            let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
            let bytes = manifest.to_string().into_bytes();
            image::put_manifest(&world.client, &base, &sig_tag(image), &media_type, bytes).await;
        }
        _ => {
            for bundle in world.bundles(image).await {
                let url = format!("{base}/manifests/{}", bundle.digest);
                assert!(world.client.delete(url).send().await.unwrap().status().is_success());
            }
            let tag = format!("sha256-{}", digest_of(image).hex());
            if world.tagged(image, &tag).await.is_some() {
                let index = json!({"schemaVersion": 2, "mediaType": image::INDEX, "manifests": []});
                image::put_manifest(&world.client, &base, &tag, image::INDEX, index.to_string().into_bytes())
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn a_signature_that_stays_is_looked_at_as_often_as_configured_and_then_no_more() {
    let world = World::with(settings(&["look_again = ['100ms', '200ms', '300ms']"])).await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    let seen =
        async || (world.metric("signet_deliveries_total{outcome=\"seen\"}").await >= 3.0).then_some(());
    world.eventually("it is looked at three times", seen).await;
    let empty = async || {
        let text = world.metrics().await;
        text.contains("signet_outbox{stage=\"look_again\"} 0").then_some(())
    };
    world.eventually("the outbox is empty", empty).await;
    assert_eq!(attempts(&world, &image).await, ["attached"]);
}

#[tokio::test]
async fn what_can_not_be_attached_in_time_is_given_up_with_the_reason_and_can_be_asked_for_again() {
    let world = World::with(settings(&["give_up_after = '2s'"])).await;
    let image = world.push_image().await;
    world.registry_proxy.break_with(|call| (call.method == "POST").then(|| Fault::status(403)));
    let answer = world.sign_image(&image).await;
    world.assert_problem(&answer, 502, "registry-denied");
    let given_up = async || attempts(&world, &image).await.contains(&"given-up".to_owned()).then_some(());
    world.eventually("it is given up", given_up).await;
    let entries = world.entries(&format!("digest={}&kind=attach", digest_of(&image))).await;
    let last = entries.last().unwrap();
    assert_eq!(last["code"], "registry-denied");
    assert_eq!(state(&world, &last["id"]).await, "failed");
    assert!(world.metric("signet_deliveries_total{outcome=\"given_up\"}").await >= 1.0);
    world.registry_proxy.mend();
    let answer = world.sign_image(&image).await;
    assert_eq!((answer.status, &answer.body["id"]), (201.try_into().unwrap(), &last["id"]), "{answer:?}");
    assert_eq!(world.signatures(&image).await, 1);
}
