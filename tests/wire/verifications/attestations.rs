//! Attestations, which are asked for by the type of their predicate.

use bytes::Bytes;
use serde_json::json;
use signet::domain::Content;
use signet::format::signature_manifest::SignatureManifest;
use signet::format::{attestation, bundle, dsse, statement};

use super::{signed, verdicts, verdicts_of, verify};
use crate::support::{World, image};

const TYPE: &str = "https://example.com/approval/v1";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A predicate of about so many bytes.
fn predicate(size: usize) -> Bytes {
    format!(r#"{{"approved":"{}"}}"#, "y".repeat(size)).into()
}

/// A statement about `image`, and this world's key's signature over it.
async fn attested(world: &World, image: &str, predicate_type: &str, size: usize) -> (Content, Vec<u8>) {
    let statement =
        statement::attestation_statement(&image.parse().unwrap(), predicate_type, predicate(size));
    let signed = dsse::pre_authentication_encoding(dsse::IN_TOTO, &statement).to_bytes();
    // Vault takes no megabytes, and is shown the digest therefore.
    (statement, world.vault_signature_of(&signed).await)
}

/// Hangs attestations of these types and sizes below the image's tag.
async fn plant_layers(world: &World, image: &str, attestations: &[(&str, usize)]) {
    let base = world.upstream_of(image);
    let key = world.key_reference(1).await;
    let mut manifest = None;
    let mut last = Vec::new();
    for (predicate_type, size) in attestations {
        let (statement, signature) = attested(world, image, predicate_type, *size).await;
        let envelope = dsse::envelope(&statement, &signature);
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let layer = attestation::layer(&envelope, predicate_type, &key, at);
        image::push_blob(&world.client, &base, envelope.to_bytes().to_vec()).await;
        let appended = SignatureManifest::append(manifest, layer, at);
        image::push_blob(&world.client, &base, appended.config).await;
        manifest = Some(SignatureManifest::parse(&appended.manifest).unwrap());
        last = appended.manifest;
    }
    let tag = attestation::tag(crate::support::attached::digest_of(image));
    image::put_manifest(&world.client, &base, &tag, MANIFEST, last).await;
}

/// Pushes an attestation as a bundle that refers to the image.
async fn plant_bundle(world: &World, image: &str, predicate_type: &str, size: usize) {
    let (statement, signature) = attested(world, image, predicate_type, size).await;
    let key = world.key_reference(1).await.fingerprint;
    let content = bundle::bundle(&key, &statement, &signature).to_bytes();
    world.plant_referrer(image, bundle::MEDIA_TYPE, bundle::MEDIA_TYPE, &content).await;
}

#[tokio::test]
async fn an_attestation_is_found_by_its_type_in_both_layouts() {
    let world = World::start().await;
    for layout in ["cosign", "bundle"] {
        let image = world.push_image().await;
        match layout {
            "cosign" => plant_layers(&world, &image, &[(TYPE, 10)]).await,
            _ => plant_bundle(&world, &image, TYPE, 10).await,
        }
        let answer = verify(&world, &image, json!({"predicate_type": TYPE})).await;
        assert_eq!(verdicts(&answer), "signed: verified", "{layout}");
        let found = &answer.body["signatures"][0];
        assert_eq!((&found["format"], &found["predicate_type"]), (&json!(layout), &json!(TYPE)));
        assert_eq!(found["key"]["version"], 1);
        for other in ["https://example.com/approval/v2", "spdx", "https://example.com/Approval/v1"] {
            let verdicts = verdicts_of(&world, &image, json!({"predicate_type": other})).await;
            assert_eq!(verdicts, "unsigned: predicate-type", "{layout} {other}");
        }
        // Nothing of it says that the image is signed.
        let signature = verdicts_of(&world, &image, json!({})).await;
        assert_eq!(signature, if layout == "bundle" { "unsigned: predicate-type" } else { "unsigned" });
    }
}

#[tokio::test]
async fn a_short_name_is_the_type_that_it_stands_for() {
    let world = World::start().await;
    let image = world.push_image().await;
    plant_layers(
        &world,
        &image,
        &[("https://spdx.dev/Document", 10), ("https://slsa.dev/provenance/v1", 10)],
    )
    .await;
    for (name, expected) in [
        ("spdx", "signed: verified, predicate-type"),
        ("spdxjson", "signed: verified, predicate-type"),
        ("slsaprovenance1", "signed: predicate-type, verified"),
        ("slsaprovenance", "unsigned: predicate-type, predicate-type"),
    ] {
        assert_eq!(verdicts_of(&world, &image, json!({"predicate_type": name})).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_signature_is_no_attestation_and_can_not_be_asked_for_as_one() {
    let world = World::start().await;
    let (image, _) = signed(&world, json!({"format": "bundle"})).await;
    assert_eq!(
        verdicts_of(&world, &image, json!({"predicate_type": TYPE})).await,
        "unsigned: predicate-type"
    );
    let request = json!({"predicate_type": "https://sigstore.dev/cosign/sign/v1"});
    let answer = verify(&world, &image, request).await;
    world.assert_problem(&answer, 400, "invalid-request");
    assert!(answer.detail().contains("out"), "{}", answer.detail());
}

#[tokio::test]
async fn beside_a_bundle_attestations_below_the_tag_are_overlooked() {
    let world = World::start().await;
    let image = world.push_image().await;
    plant_layers(&world, &image, &[(TYPE, 10)]).await;
    plant_bundle(&world, &image, "https://example.com/other/v1", 10).await;
    let answer = verify(&world, &image, json!({"predicate_type": TYPE})).await;
    assert_eq!(verdicts(&answer), "unsigned: overlooked, predicate-type");
}

#[tokio::test]
async fn a_large_attestation_is_read_and_a_large_one_of_another_type_is_not_fetched() {
    let world = World::start().await;
    let large = 3 * 1024 * 1024;
    let image = world.push_image().await;
    plant_layers(&world, &image, &[(TYPE, large), ("https://example.com/other/v1", large + 1)]).await;
    world.take_all_calls();
    let answer = verify(&world, &image, json!({"predicate_type": TYPE})).await;
    assert_eq!(verdicts(&answer), "signed: verified, predicate-type");
    let calls = world.registry_proxy.take_calls();
    let blobs = calls.iter().filter(|call| call.path.contains("/blobs/")).count();
    assert_eq!(blobs, 1, "{calls:?}");
    // As a signature it would be too large, whatever it says.
    let image = world.push_image().await;
    plant_bundle(&world, &image, TYPE, large).await;
    assert_eq!(verdicts_of(&world, &image, json!({"predicate_type": TYPE})).await, "signed: verified");
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "unsigned: too-large");
}

#[tokio::test]
async fn many_who_ask_for_large_attestations_at_once_share_the_memory_of_two() {
    let world = World::start().await;
    let image = world.push_image().await;
    plant_bundle(&world, &image, TYPE, 16 * 1024 * 1024 - 20).await;
    let before = peak_memory(&world);
    let asking = (0..16).map(|_| verdicts_of(&world, &image, json!({"predicate_type": TYPE})));
    for verdicts in futures::future::join_all(asking).await {
        assert_eq!(verdicts, "signed: verified");
    }
    let grown = peak_memory(&world) - before;
    // One takes its bundle, its statement and what it signs: some 60 MiB.
    assert!(grown < 220 * 1024, "{grown} KiB");
}

/// KiB of memory that Signet had at most.
fn peak_memory(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.signet.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
