//! Signatures that are not what they should be, of the `cosign` layout: each with its verdict.

use serde_json::{Value, json};
use signet::domain::Digest;

use super::{signed, verdicts, verdicts_of, verify, world};
use crate::support::attached::{digest_of, sig_tag};
use crate::support::{World, image, servers};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

type PayloadChange = Box<dyn Fn(String) -> String>;
type LayerChange = fn(&mut Value);

/// An image below whose tag this payload hangs, signed by the world's key in Vault.
async fn with_payload(world: &World, change: impl FnOnce(String) -> String) -> String {
    let image = world.push_image().await;
    let payload = String::from_utf8(world.payload(&image, &[("k", "v")])).unwrap();
    let payload = change(payload);
    let signature = world.vault_signature(payload.as_bytes()).await;
    world.plant_layers(&image, payload.as_bytes(), &[signature]).await;
    image
}

/// Puts the `.sig` manifest of a signed image there again, changed.
async fn change_manifest(world: &World, image: &str, change: impl FnOnce(&mut Value)) {
    let (_, mut manifest) = world.tagged(image, &sig_tag(image)).await.unwrap();
    change(&mut manifest);
    let bytes = manifest.to_string().into_bytes();
    image::put_manifest(&world.client, &world.upstream_of(image), &sig_tag(image), MANIFEST, bytes).await;
}

#[tokio::test]
async fn a_payload_that_the_key_signed_has_to_be_about_this_image() {
    let world = world().await;
    let repository = world.repository.clone();
    let other = Digest::of(b"other");
    let cases: [(&str, PayloadChange, &str); 6] = [
        ("as it should be", Box::new(|payload| payload), "signed: verified"),
        (
            "another digest",
            Box::new(move |payload| replace_digest(&payload, other)),
            "unsigned: digest-mismatch",
        ),
        (
            "another repository",
            Box::new(move |payload| payload.replace(&repository, "registry.example.com/other/app")),
            "unsigned: repository-mismatch",
        ),
        (
            "another kind of signature",
            Box::new(|payload| {
                payload.replace("cosign container image signature", "atomic container signature")
            }),
            "unsigned: malformed",
        ),
        ("no payload", Box::new(|_| "approved!".to_owned()), "unsigned: malformed"),
        (
            "annotations that are no texts",
            Box::new(|payload| payload.replace(r#""k":"v""#, r#""k":["v"]"#)),
            "unsigned: annotations-missing",
        ),
    ];
    for (name, change, expected) in cases {
        let image = with_payload(&world, change).await;
        let asked = json!({"annotations": {"k": "v"}});
        assert_eq!(verdicts_of(&world, &image, asked).await, expected, "{name}");
    }
}

fn replace_digest(payload: &str, other: Digest) -> String {
    let at = payload.find("sha256:").unwrap();
    payload.replacen(&payload[at..at + 71], &other.to_string(), 1)
}

#[tokio::test]
async fn what_no_version_of_the_key_made_is_told_as_that_and_nothing_it_says_is() {
    let world = world().await;
    let image = world.push_image().await;
    let payload = world.payload(&image, &[]);
    let swapped = world.vault_signature(b"something else").await;
    world.plant_layers(&image, &payload, &[swapped, b"no signature".to_vec(), Vec::new()]).await;
    let answer = verify(&world, &image, json!({})).await;
    assert_eq!(verdicts(&answer), "unsigned: other-key, other-key, other-key");
    for found in answer.body["signatures"].as_array().unwrap() {
        assert!(found.get("key").is_none() && found.get("annotations").is_none(), "{found}");
    }
}

#[tokio::test]
async fn a_layer_that_is_no_signature_is_none_beside_one_that_is() {
    let world = world().await;
    let changes: [(&str, LayerChange, &str); 6] = [
        ("media type", |layer| layer["mediaType"] = json!("text/plain"), "media-type"),
        ("no signature", |layer| layer["annotations"] = json!({}), "malformed"),
        (
            "no base64",
            |layer| layer["annotations"]["dev.cosignproject.cosign/signature"] = json!("?"),
            "malformed",
        ),
        ("too short", |layer| layer["size"] = json!(1), "malformed"),
        ("too long", |layer| layer["size"] = json!(100_000), "malformed"),
        ("100 MiB", |layer| layer["size"] = json!(100 * 1024 * 1024), "too-large"),
    ];
    for (name, change, expected) in changes {
        let (image, _) = signed(&world, json!({})).await;
        change_manifest(&world, &image, |manifest| change(&mut manifest["layers"][0])).await;
        world.take_all_calls();
        let alone = verdicts_of(&world, &image, json!({})).await;
        assert_eq!(alone, format!("unsigned: {expected}"), "{name}");
        if expected != "malformed" {
            let calls = world.registry_proxy.take_calls();
            assert!(!calls.iter().any(|call| call.path.contains("/blobs/")), "{name}: {calls:?}");
        }
        // What verifiers do not take is not there already.
        assert_eq!(world.sign_image(&image).await.status, 201, "{name}");
        let beside = verdicts_of(&world, &image, json!({})).await;
        assert_eq!(beside, format!("signed: {expected}, verified"), "{name}");
    }
}

#[tokio::test]
async fn a_tag_that_names_something_else_holds_no_signature() {
    let world = world().await;
    let image = world.push_image().await;
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []});
    let base = world.upstream_of(&image);
    let media_type = index["mediaType"].as_str().unwrap().to_owned();
    let bytes = index.to_string().into_bytes();
    image::put_manifest(&world.client, &base, &sig_tag(&image), &media_type, bytes).await;
    assert_eq!(verdicts_of(&world, &image, json!({})).await, "unsigned: malformed");
}

#[tokio::test]
async fn a_thousand_layers_are_looked_at_and_more_are_a_problem() {
    let world = world().await;
    let (image, _) = signed(&world, json!({})).await;
    let add_junk = |manifest: &mut Value| {
        let layers = manifest["layers"].as_array_mut().unwrap();
        let mut junk = layers[0].clone();
        junk["annotations"]["dev.cosignproject.cosign/signature"] = json!("AAAA");
        layers.splice(0..0, vec![junk; 999]);
    };
    change_manifest(&world, &image, add_junk).await;
    world.take_all_calls();
    let answer = verify(&world, &image, json!({})).await;
    let found = answer.body["signatures"].as_array().unwrap();
    assert_eq!((found.len(), &answer.body["state"]), (1000, &json!("signed")));
    assert_eq!(found[999]["verdict"], "verified");
    // They share one payload.
    assert!(world.registry_proxy.take_calls().len() <= 5);

    change_manifest(&world, &image, |manifest| {
        let layers = manifest["layers"].as_array_mut().unwrap();
        layers.push(layers[0].clone());
    })
    .await;
    let answer = verify(&world, &image, json!({})).await;
    world.assert_problem(&answer, 409, "too-many-signatures");
    assert!(answer.detail().contains("1001"), "{}", answer.detail());
}

#[tokio::test]
async fn a_signature_of_another_image_does_not_count_for_this_one() {
    let world = world().await;
    let (image, _) = signed(&world, json!({})).await;
    let other = world.push_image().await;
    let (bytes, _) = world.tagged(&image, &sig_tag(&image)).await.unwrap();
    image::put_manifest(&world.client, &world.upstream(), &sig_tag(&other), MANIFEST, bytes).await;
    assert_eq!(verdicts_of(&world, &other, json!({})).await, "unsigned: digest-mismatch");

    // A key of the same Vault that Signet was not asked about.
    let stranger = servers::unique("stranger");
    let made = json!({"type": "ecdsa-p256"});
    world.vault_call(reqwest::Method::POST, &format!("transit/keys/{stranger}"), made).await;
    let answer = verify(&world, &image, json!({"key": stranger})).await;
    world.assert_problem(&answer, 403, "forbidden");
    assert_ne!(digest_of(&image), digest_of(&other));
}
