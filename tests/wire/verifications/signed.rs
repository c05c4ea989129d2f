//! What is found on an image.

use serde_json::json;

use super::{signed, verdicts, verdicts_of, verify};
use crate::support::attached::digest_of;
use crate::support::{Fault, World};

#[tokio::test]
async fn what_signet_signs_is_found_with_all_that_is_known_of_it() {
    let world = World::start().await;
    for format in ["cosign", "bundle"] {
        let annotations = json!({"commit": "abc", "b": "<&> é"});
        let (image, answer) = signed(&world, json!({"format": format, "annotations": annotations})).await;
        let verification = verify(&world, &image, json!({})).await;
        assert_eq!(verdicts(&verification), "signed: verified");
        assert_eq!(verification.body["image"], image);
        assert_eq!(verification.body["key"], world.key);
        let found = &verification.body["signatures"][0];
        assert_eq!(found["format"], format);
        assert_eq!(found["key"], answer["key"]);
        assert_eq!(found["annotations"], annotations);
        assert_eq!(found["signed_at"], answer["signed_at"]);
        for name in ["reference", "manifest"] {
            assert_eq!(found[name], answer["signatures"][0][name]);
        }
        assert!(found["blob"].as_str().unwrap().starts_with("sha256:"), "{found}");
        match format {
            "bundle" => assert_eq!(found["predicate_type"], "https://sigstore.dev/cosign/sign/v1"),
            _ => assert!(found.get("predicate_type").is_none(), "{found}"),
        }
    }
}

#[tokio::test]
async fn an_image_without_signatures_is_unsigned_and_one_that_is_not_there_is_a_problem() {
    let world = World::start().await;
    let image = world.push_image().await;
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "unsigned");
    let nowhere = world.image(signet::domain::Digest::of(b"nowhere"));
    world.assert_problem(&verify(&world, &nowhere, json!({})).await, 404, "image-not-found");
}

#[tokio::test]
async fn annotations_that_are_asked_for_have_to_be_there_and_others_may() {
    let world = World::start().await;
    for format in ["cosign", "bundle"] {
        let (image, _) = signed(&world, json!({"format": format, "annotations": {"a": "1", "b": "2"}})).await;
        for (asked, expected) in [
            (json!({"a": "1"}), "signed: verified"),
            (json!({"a": "1", "b": "2"}), "signed: verified"),
            (json!({"a": "2"}), "unsigned: annotations-missing"),
            (json!({"a": "1", "c": "3"}), "unsigned: annotations-missing"),
        ] {
            let verdicts = verdicts_of(&world, &image, json!({"annotations": asked})).await;
            assert_eq!(verdicts, expected, "{format} {asked}");
        }
    }
}

#[tokio::test]
async fn every_version_of_a_key_verifies_what_it_signed_also_one_that_signs_no_more() {
    let mut world = World::start().await;
    let (cosign, _) = signed(&world, json!({})).await;
    let (bundle, _) = signed(&world, json!({"format": "bundle"})).await;
    world.rotate().await;
    world.restart();
    for image in [&cosign, &bundle] {
        assert_eq!(world.sign_image(image).await.status, 201);
    }
    world.set_minimum(2).await;
    world.restart();
    for image in [&cosign, &bundle] {
        let verification = verify(&world, image, json!({})).await;
        assert_eq!(verdicts(&verification), "signed: verified, verified");
        let found = verification.body["signatures"].as_array().unwrap();
        let mut versions: Vec<_> =
            found.iter().map(|found| found["key"]["version"].as_u64().unwrap()).collect();
        versions.sort_unstable();
        assert_eq!(versions, [1, 2]);
        for version in [1, 2] {
            let one = verify(&world, image, json!({"key_version": version})).await;
            assert_eq!(one.body["state"], "signed");
            for found in one.body["signatures"].as_array().unwrap() {
                let is_it = found["key"]["version"] == version;
                assert_eq!(found["verdict"] == "verified", is_it, "{found}");
                assert_eq!(found["verdict"] == "other-version", !is_it, "{found}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_is_known_verifies_while_vault_is_away() {
    let world = World::counted().await;
    let (image, _) = signed(&world, json!({})).await;
    world.vault_proxy.break_with(|_| Some(Fault::Cut));
    world.take_all_calls();
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "signed: verified");
    assert!(world.vault_proxy.take_calls().is_empty());
}

#[tokio::test]
async fn a_verification_only_reads_and_no_more_of_it_is_in_the_log_than_that_it_was_asked() {
    let world = World::start().await;
    let (image, _) = signed(&world, json!({})).await;
    let about = format!("digest={}", digest_of(&image));
    let before = world.entries(&about).await.len();
    world.take_all_calls();
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "signed: verified");
    let calls = world.registry_proxy.take_calls();
    assert!(calls.iter().all(|call| call.method == "GET" || call.method == "HEAD"), "{calls:?}");
    // The image, its tag, what refers to it (on some registries in two calls), and one payload.
    assert!((4..=5).contains(&calls.len()), "{calls:?}");
    assert!(world.vault_proxy.take_calls().is_empty());
    let after = world
        .eventually("the verification is logged", async || {
            let after = world.entries(&about).await;
            (after.len() > before).then_some(after)
        })
        .await;
    assert_eq!(after.len(), before + 1);
    assert_eq!(after.last().unwrap()["kind"], "verification");
}
