//! Images that can not be meant, or are not there.

use serde_json::json;
use signet::domain::Digest;

use crate::support::World;

#[tokio::test]
async fn an_image_without_a_digest_is_told_to_bring_one() {
    let world = World::counted().await;
    let repository = &world.repository;
    for image in
        [format!("{repository}:1.2"), repository.clone(), format!("{repository}:latest"), String::new()]
    {
        let answer = world.refused(json!({"image": image}).to_string(), 400, "digest-required").await;
        assert!(answer.detail().contains("@sha256:"), "{image}: {}", answer.detail());
    }
}

#[tokio::test]
async fn a_digest_of_another_form_is_refused_with_the_right_one() {
    let world = World::counted().await;
    let hex = "a".repeat(64);
    for (digest, words) in [
        ("sha256:".to_owned(), "64"),
        ("sha256:abc".to_owned(), "64"),
        (format!("sha256:{hex}a"), "64"),
        (format!("sha256:{}", "A".repeat(64)), "lower-case"),
        (format!("sha256:{}", "g".repeat(64)), "0-9, a-f"),
        (format!("sha256:{}", "é".repeat(32)), "0-9, a-f"),
        (format!("sha512:{hex}{hex}"), "sha256"),
        (format!("md5:{}", "a".repeat(32)), "sha256"),
        (format!("SHA256:{hex}"), "sha256"),
        (hex.clone(), "sha256"),
        (format!("sha256:{hex}@sha256:{hex}"), "64"),
        (format!("sha256:{hex}\n"), "64"),
    ] {
        let image = format!("{}@{digest}", world.repository);
        let answer = world.refused(json!({"image": image}).to_string(), 400, "invalid-request").await;
        assert!(answer.detail().contains(words), "{digest}: {}", answer.detail());
    }
}

#[tokio::test]
async fn a_repository_that_could_mean_another_one_is_refused() {
    let world = World::counted().await;
    let (host, _) = world.repository.split_once('/').unwrap();
    let digest = Digest::of(b"image");
    for (repository, words) in [
        (format!("{host}/../app"), "a-z"),
        (format!("{host}/team/../../app"), "a-z"),
        (format!("{host}/team/./app"), "a-z"),
        (format!("{host}/team//app"), "a-z"),
        (format!("{host}/team/app/"), "a-z"),
        (format!("{host}/team%2fapp"), "a-z"),
        (format!("{host}/team%2F..%2Fapp"), "lower case"),
        (format!("{host}/team/app?x"), "a-z"),
        (format!("{host}/team/app#x"), "a-z"),
        (format!("{host}/team/app "), "a-z"),
        (format!("{host}/team\\app"), "a-z"),
        (format!("{host}/team/аpp"), "a-z"),
        (format!("{host}/team/app\0"), "a-z"),
        (format!("https://{host}/team/app"), "a-z"),
        (format!("{host}/Team/app"), "lower case"),
        (format!("{host}/{}", "a".repeat(300)), "255"),
        (format!("{host}/{}", "a/".repeat(50_000)), "640"),
        ("team/app".to_owned(), "host"),
        ("app".to_owned(), "host"),
        ("/app".to_owned(), "host"),
        (format!("user:password@{host}/team/app"), "host"),
    ] {
        let image = format!("{repository}@{digest}");
        let answer = world.refused(json!({"image": image}).to_string(), 400, "invalid-request").await;
        assert!(answer.detail().contains(words), "{repository}: {}", answer.detail());
    }
}

#[tokio::test]
async fn a_registry_that_is_not_configured_is_named_and_not_called() {
    let world = World::counted().await;
    let digest = Digest::of(b"image");
    let upstream = world.registry.url.trim_start_matches("http://");
    for host in ["registry.example.com", upstream, "127.0.0.1:1", "localhost", "169.254.169.254"] {
        let body = json!({"image": format!("{host}/team/app@{digest}")}).to_string();
        let answer = world.refused(body, 400, "invalid-request").await;
        assert!(answer.detail().contains(&format!("`{host}`")), "{}", answer.detail());
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_is_404_and_vault_is_not_called() {
    let world = World::counted().await;
    let signed = world.push_image().await;
    assert_eq!(world.sign_image(&signed).await.status, 201);
    let missing = Digest::of(uuid::Uuid::new_v4().as_bytes());
    for format in ["cosign", "bundle"] {
        for image in [world.image(missing), format!("{}/no/such@{missing}", world.repository)] {
            world.take_all_calls();
            let answer = world.sign(json!({"image": image, "format": format})).await;
            world.assert_problem(&answer, 404, "image-not-found");
            assert!(answer.detail().contains(&image), "{}", answer.detail());
            assert!(world.vault_proxy.take_calls().is_empty());
        }
    }
    assert!(world.entries(&format!("digest={missing}")).await.is_empty());
}
