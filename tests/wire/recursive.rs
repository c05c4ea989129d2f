//! `recursive`: an index with all that it lists.

use serde_json::{Value, json};
use signet::domain::{Descriptor, Digest};

use crate::support::attached::digest_of;
use crate::support::image::{self, INDEX};
use crate::support::proxy::{is_signing, signing_calls};
use crate::support::world::Settings;
use crate::support::{Answer, Fault, World};

async fn sign(world: &World, image: &str) -> Answer {
    world.sign(json!({"image": image, "recursive": true})).await
}

fn images(answer: &Answer) -> Vec<&str> {
    let children = answer.body["children"].as_array().unwrap();
    children.iter().map(|child| child["image"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_index_nested_indexes_and_attestation_manifests_are_signed_children_first_in_one_call() {
    let world = World::counted().await;
    let (amd64, arm64) = (world.push_child().await, world.push_child().await);
    let mut attestation = world.push_child().await;
    attestation.annotations =
        [("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned())].into();
    let (_, inner) = world.push_index(&[arm64.clone(), amd64.clone()]).await;
    let (index, _) = world.push_index(&[amd64.clone(), attestation.clone(), inner.clone()]).await;
    world.take_all_calls();

    let answer = sign(&world, &index).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        (answer.body["image"].as_str(), answer.body["state"].as_str()),
        (Some(index.as_str()), Some("attached"))
    );
    let expected = [&amd64, &attestation, &arm64, &inner].map(|child| world.image(child.digest));
    assert_eq!(images(&answer), expected);
    for image in expected.iter().chain([&index]) {
        assert_eq!(world.signatures(image).await, 1, "{image}");
    }
    assert_eq!(signing_calls(&world.vault_proxy.take_calls()).len(), 1, "one call for all");
    let entries = world.entries("kind=attach").await;
    let order: Vec<_> = entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect();
    let place =
        |image: &str| order.iter().position(|digest| *digest == digest_of(image).to_string()).unwrap();
    assert_eq!(place(&index), 4, "the index itself comes last");
    assert!(place(&expected[3]) > place(&expected[2]) && place(&expected[3]) > place(&expected[0]));

    world.take_all_calls();
    let again = sign(&world, &index).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(images(&again), expected);
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
}

#[tokio::test]
async fn an_image_is_signed_alone() {
    let world = World::start().await;
    let image = world.push_image().await;
    let answer = sign(&world, &image).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.body.get("children").is_none(), "{answer:?}");
}

#[tokio::test]
async fn without_being_asked_for_children_are_not_signed() {
    let world = World::start().await;
    let child = world.push_child().await;
    let (index, _) = world.push_index(std::slice::from_ref(&child)).await;
    assert_eq!(world.sign_image(&index).await.status, 201);
    assert_eq!(world.signatures(&world.image(child.digest)).await, 0);
}

#[tokio::test]
async fn a_missing_child_is_named_and_nothing_is_signed() {
    let world = World::counted().await;
    let child = world.push_child().await;
    let (index, _) = world.push_index(std::slice::from_ref(&child)).await;
    let missing = world.image(child.digest);
    let path = format!("/manifests/{}", child.digest);
    world.registry_proxy.break_with(move |call| call.path.ends_with(&path).then(|| Fault::status(404)));
    world.take_all_calls();
    let answer = sign(&world, &index).await;
    world.assert_problem(&answer, 404, "image-not-found");
    assert!(answer.body["detail"].as_str().unwrap().contains(&missing), "{answer:?}");
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    assert!(world.entries("kind=intent").await.is_empty());
}

#[tokio::test]
async fn a_child_that_can_not_be_told_stops_everything_before_it_is_signed() {
    let world = World::counted().await;
    let child = world.push_child().await;
    let (index, _) = world.push_index(std::slice::from_ref(&child)).await;
    let tag = format!("/manifests/sha256-{}.sig", child.digest.hex());
    world.registry_proxy.break_with(move |call| call.path.ends_with(&tag).then(|| Fault::status(403)));
    world.take_all_calls();
    world.assert_problem(&sign(&world, &index).await, 502, "registry-denied");
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
}

#[tokio::test]
async fn a_child_that_is_no_image_is_refused() {
    let world = World::counted().await;
    let mut child = world.push_child().await;
    child.media_type = "application/vnd.example.unknown+json".to_owned();
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).to_string().into_bytes();
    let digest = Digest::of(&index);
    image::put_manifest(&world.client, &world.upstream(), &digest.to_string(), INDEX, index).await;
    let answer = sign(&world, &world.image(digest)).await;
    world.assert_problem(&answer, 400, "invalid-request");
    assert!(answer.body["detail"].as_str().unwrap().contains("vnd.example.unknown"), "{answer:?}");
}

#[tokio::test]
async fn an_index_that_claims_to_list_itself_is_refused() {
    // No content has a digest of its own in it, so a registry has to lie for this.
    let world = World::counted().await;
    let child = world.push_child().await;
    let (index, descriptor) = world.push_index(std::slice::from_ref(&child)).await;
    let path = format!("/manifests/{}", descriptor.digest);
    let lie = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}).to_string();
    world.registry_proxy.break_with(move |call| {
        let asked = call.method == "GET" && call.path.ends_with(&path);
        let headers = vec![("content-type", INDEX.to_owned())];
        asked.then(|| Fault::Answer { status: 200, headers, body: lie.clone() })
    });
    let answer = sign(&world, &index).await;
    world.assert_problem(&answer, 502, "registry-unavailable");
}

#[tokio::test]
async fn where_one_child_can_not_be_attached_the_others_are_and_each_says_so_itself() {
    let world = World::start().await;
    let (good, bad) = (world.push_child().await, world.push_child().await);
    let (index, _) = world.push_index(&[good.clone(), bad.clone()]).await;
    let tag = format!("/manifests/sha256-{}.sig", bad.digest.hex());
    world.registry_proxy.break_with(move |call| {
        (call.method == "PUT" && call.path.ends_with(&tag)).then(|| Fault::status(403))
    });
    let answer = sign(&world, &index).await;
    assert_eq!(answer.status, 207, "{answer:?}");
    assert_eq!(answer.body["state"], "attached");
    let children = answer.body["children"].as_array().unwrap();
    assert_eq!(children[0]["state"], "attached");
    assert_eq!(
        (&children[1]["state"], &children[1]["problem"]["code"]),
        (&json!("failed"), &json!("registry-denied"))
    );
    assert_eq!(children[1]["problem"]["status"], 502);

    world.registry_proxy.mend();
    let attached = async || (world.signatures(&world.image(bad.digest)).await == 1).then_some(());
    world.eventually("the outbox attaches it", attached).await;
    let again = sign(&world, &index).await;
    assert_eq!(again.status, 200, "{again:?}");
}

#[tokio::test]
async fn where_vault_signs_nothing_the_answer_is_a_problem() {
    let world = World::counted().await;
    let child = world.push_child().await;
    let (index, _) = world.push_index(std::slice::from_ref(&child)).await;
    world.vault_proxy.break_with(|call| is_signing(call).then(|| Fault::status(400)));
    world.assert_problem(&sign(&world, &index).await, 503, "vault-unavailable");
}

#[tokio::test]
async fn more_manifests_than_are_signed_at_once_are_refused_before_anything_is_signed() {
    let limit = Settings { lines: vec![("limits", "index_members = 3".to_owned())], ..Settings::default() };
    let world = World::counted_with(limit).await;
    let children = [world.push_child().await, world.push_child().await, world.push_child().await];
    let (fits, _) = world.push_index(&children[..2]).await;
    let (too_many, _) = world.push_index(&children).await;
    world.assert_problem(&sign(&world, &too_many).await, 413, "payload-too-large");
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    assert_eq!(sign(&world, &fits).await.status, 201);
}

#[tokio::test]
async fn a_thousand_children_are_signed_in_a_few_calls() {
    let settings =
        Settings { lines: vec![("limits", "request_timeout = '10m'".to_owned())], ..Settings::default() };
    let world = World::counted_with(settings).await;
    // One layer and one configuration, and a thousand manifests that differ in an annotation.
    let base = world.upstream();
    let first = world.push_child().await;
    let (bytes, _) = world.tagged(&world.image(first.digest), &first.digest.to_string()).await.unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let push = |n: usize| {
        let (mut manifest, base, client) = (manifest.clone(), base.clone(), world.client.clone());
        async move {
            manifest["annotations"] = json!({"n": n.to_string()});
            let bytes = manifest.to_string().into_bytes();
            let descriptor = Descriptor::of(&first_media_type(&manifest), &bytes);
            let digest = descriptor.digest.to_string();
            image::put_manifest(&client, &base, &digest, &descriptor.media_type, bytes).await;
            descriptor
        }
    };
    let mut children = Vec::new();
    for n in 0..1000 {
        children.push(push(n).await);
    }
    let (index, _) = world.push_index(&children).await;
    world.take_all_calls();
    let answer = sign(&world, &index).await;
    assert_eq!(answer.status, 201, "{}", answer.body["detail"]);
    assert_eq!(images(&answer).len(), 1000);
    assert!(answer.body["children"].as_array().unwrap().iter().all(|child| child["state"] == "attached"));
    assert!(signing_calls(&world.vault_proxy.take_calls()).len() <= 5, "1,001 signatures, 240 in a call");
    assert_eq!(sign(&world, &index).await.status, 200);
}

fn first_media_type(manifest: &Value) -> String {
    manifest["mediaType"].as_str().unwrap().to_owned()
}
