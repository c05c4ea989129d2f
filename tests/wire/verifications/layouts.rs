//! Images with both layouts: once there is a bundle, verifiers look at bundles alone.

use serde_json::json;

use super::{signed, verdicts, verdicts_of, verify, world};

#[tokio::test]
async fn beside_a_bundle_the_other_layout_is_overlooked_and_reported() {
    let world = world().await;
    let (image, answer) = signed(&world, json!({"annotations": {"k": "v"}})).await;
    // Of nobody whom this key knows.
    world.plant_bundle(&image, &world.statement(&image, &[]), b"signature").await;
    let verification = verify(&world, &image, json!({})).await;
    assert_eq!(verdicts(&verification), "unsigned: overlooked, other-key");
    assert_eq!(verification.body["signatures"][0]["key"], answer["key"]);

    let statement = world.statement(&image, &[]);
    let signature = world.vault_signature(&encoded(&statement)).await;
    world.plant_bundle(&image, &statement, &signature).await;
    let verification = verify(&world, &image, json!({})).await;
    assert_eq!(verification.body["state"], "signed");
    let found = verification.body["signatures"].as_array().unwrap();
    let mut verdicts: Vec<_> = found.iter().map(|found| found["verdict"].as_str().unwrap()).collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts, ["other-key", "overlooked", "verified"]);
}

#[tokio::test]
async fn what_refers_to_an_image_and_is_no_bundle_changes_nothing() {
    let world = world().await;
    let (image, _) = signed(&world, json!({})).await;
    world.plant_referrer(&image, "application/vnd.example.sbom", "application/vnd.example.sbom", b"{}").await;
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "signed: verified");
    // It says that it is a bundle, and verifiers can not open it.
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    world.plant_referrer(&image, bundle, bundle, b"{}").await;
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "signed: verified, malformed");
}

#[tokio::test]
async fn an_attestation_of_the_same_key_is_no_signature() {
    let world = world().await;
    let image = world.push_image().await;
    let statement = String::from_utf8(world.statement(&image, &[])).unwrap();
    let statement = statement
        .replace("https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1")
        .into_bytes();
    let signature = world.vault_signature(&encoded(&statement)).await;
    world.plant_bundle(&image, &statement, &signature).await;
    let answer = verify(&world, &image, json!({})).await;
    assert_eq!(verdicts(&answer), "unsigned: predicate-type");
    assert_eq!(answer.body["signatures"][0]["predicate_type"], "https://slsa.dev/provenance/v1");
    assert_eq!(answer.body["signatures"][0]["key"]["version"], 1);
}

#[tokio::test]
async fn a_bundle_about_another_image_does_not_count_for_this_one() {
    let world = world().await;
    let (image, other) = (world.push_image().await, world.push_image().await);
    let statement = world.statement(&other, &[]);
    let signature = world.vault_signature(&encoded(&statement)).await;
    world.plant_bundle(&image, &statement, &signature).await;
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "unsigned: digest-mismatch");
}

/// The bytes that are signed for a statement.
fn encoded(statement: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 28 application/vnd.in-toto+json {} ", statement.len());
    [head.as_bytes(), statement].concat()
}
