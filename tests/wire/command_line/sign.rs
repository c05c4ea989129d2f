//! `signet sign`.

use serde_json::json;

use super::Signet;
use crate::support::attached::digest_of;
use crate::support::{World, image};

#[tokio::test]
async fn an_image_is_signed_and_the_same_again_changes_nothing() {
    let world = World::start().await;
    let image = world.push_image().await;
    let arguments = ["sign", "-a", "commit=4f2a", "--annotation", "b==", &image];
    let first = Signet::of(&world).run(&arguments).await;
    first.assert(0);
    let line = first.stdout.trim_end();
    assert!(
        line.starts_with(&format!("{image}: signed with {} v1, at {}:sha256-", world.key, world.repository)),
        "{line}"
    );
    assert_eq!(first.stderr, "");
    let again = Signet::of(&world).run(&arguments).await;
    assert_eq!(again.assert(0).stdout, first.stdout.replace(": signed", ": was signed"));
    assert_eq!(world.signatures(&image).await, 1);
    let payload = world.payload(&image, &[("commit", "4f2a"), ("b", "=")]);
    assert_eq!(world.layers(&image).await[0]["digest"], json!(signet::domain::Digest::of(&payload)));
}

#[tokio::test]
async fn json_is_what_the_api_answers() {
    let world = World::start().await;
    let image = world.push_image().await;
    let arguments =
        ["sign", "--output=json", "--key", &world.key, "--key-version", "1", "--format", "bundle", &image];
    let ended = Signet::of(&world).run(&arguments).await;
    let [answer] = ended.assert(0).documents().try_into().unwrap();
    assert_eq!(answer["state"], "attached");
    assert_eq!(answer["signatures"][0]["format"], "bundle");
    let id = answer["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/signatures/{id}")).await.body["key"], answer["key"]);
}

#[tokio::test]
async fn of_many_images_each_gets_its_own_answer_and_one_bad_one_fails_alone() {
    let world = World::start().await;
    let mut images = Vec::new();
    for _ in 0..70 {
        images.push(world.push_image().await);
    }
    images.insert(33, format!("{}:latest", world.repository));
    let arguments: Vec<_> =
        ["sign", "--output", "json"].into_iter().chain(images.iter().map(String::as_str)).collect();
    let ended = Signet::of(&world).run(&arguments).await;
    let documents = ended.assert(1).documents();
    assert_eq!(documents.len(), 71);
    for (place, (document, image)) in documents.iter().zip(&images).enumerate() {
        match place {
            33 => assert_eq!(document["code"], "digest-required"),
            _ => assert_eq!((&document["image"], &document["state"]), (&json!(image), &json!("attached"))),
        }
    }
    assert!(ended.stderr.contains(&format!("signet: {}:latest: ", world.repository)), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("signet: 1 of 71 not signed\n"), "{}", ended.stderr);
}

#[tokio::test]
async fn of_an_index_all_that_it_lists_is_signed_and_said() {
    let world = World::start().await;
    let children = [world.push_image().await, world.push_image().await];
    let listed = children.iter().map(|child| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 400, "digest": digest_of(child)})
    });
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": listed.collect::<Vec<_>>()});
    let bytes = index.to_string().into_bytes();
    let digest = signet::domain::Digest::of(&bytes);
    image::put_manifest(&world.client, &world.upstream(), &digest.to_string(), media_type, bytes).await;
    let index = world.image(digest);
    let ended = Signet::of(&world).run(&["sign", "--recursive", &index]).await;
    let lines: Vec<_> = ended.assert(0).stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{ended:?}");
    for image in children.iter().chain([&index]) {
        assert!(lines.iter().any(|line| line.starts_with(&format!("{image}: signed"))), "{ended:?}");
        assert_eq!(world.signatures(image).await, 1);
    }
}

#[tokio::test]
async fn who_does_not_wait_for_the_registry_is_told_so() {
    let world = World::start().await;
    let image = world.push_image().await;
    let ended = Signet::of(&world).run(&["sign", "--respond-async", &image]).await;
    assert!(ended.assert(0).stdout.contains("and is being attached"), "{ended:?}");
    world.eventually("it is attached", async || (world.signatures(&image).await == 1).then_some(())).await;
}
