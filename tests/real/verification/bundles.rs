//! Bundles that refer to the image.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::Digest;
use signet::format::dsse::{IN_TOTO, pre_authentication_encoding};

use super::{Look, Place, Signer};
use crate::clients::{Cosign, Layout};
use crate::support::{Fault, servers};
use crate::upstream::{change_last_byte, digest_of};

const MIB: u64 = 1024 * 1024;

type BundleChange = fn(&mut Value);
type StatementChange = fn(String) -> String;

pub async fn rows(place: &Place) -> Vec<String> {
    let mut rows = Vec::new();
    rows.push(place.row("good", &place.signed().await).await);

    let statements: [(&str, StatementChange); 6] = [
        ("signed for another digest", |statement| {
            let at = statement.find(r#""sha256":""#).unwrap() + 10;
            statement.replace(&statement[at..at + 64], &Digest::of(b"other").hex())
        }),
        ("an attestation of another type", |statement| {
            statement.replace("https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1")
        }),
        ("a field that statements do not have", |statement| statement.replacen('{', r#"{"more":1,"#, 1)),
        ("another version of statements", |statement| statement.replace("Statement/v1", "Statement/v0.1")),
        ("signed, and no statement", |_| r#"{"approved":true}"#.to_owned()),
        ("signed, and no JSON", |_| "approved".to_owned()),
    ];
    for (name, change) in statements {
        let image = place.copy_of_bundle(async |bundle| {
            let envelope = &mut bundle["dsseEnvelope"];
            let statement = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
            let statement = change(String::from_utf8(statement).unwrap()).into_bytes();
            envelope["payload"] = json!(STANDARD.encode(&statement));
            let signed = pre_authentication_encoding(IN_TOTO, &statement.into()).to_bytes();
            let signature = place.world.vault_signature(&signed).await;
            envelope["signatures"][0]["sig"] = json!(STANDARD.encode(signature));
        });
        rows.push(place.row(name, &image.await).await);
    }

    let bundles: [(&str, BundleChange); 11] = [
        ("a byte of the signature changed", |bundle| {
            change_last_byte(&mut bundle["dsseEnvelope"]["signatures"][0]["sig"]);
        }),
        ("a byte of the statement changed", |bundle| {
            change_last_byte(&mut bundle["dsseEnvelope"]["payload"]);
        }),
        ("another payload type", |bundle| bundle["dsseEnvelope"]["payloadType"] = json!("text/plain")),
        ("the key's id in the envelope", |bundle| {
            bundle["dsseEnvelope"]["signatures"][0]["keyid"] = json!("release");
        }),
        ("two signatures", |bundle| {
            let signatures = bundle["dsseEnvelope"]["signatures"].as_array_mut().unwrap();
            signatures.push(signatures[0].clone());
        }),
        ("no signature", |bundle| bundle["dsseEnvelope"]["signatures"] = json!([])),
        ("no verification material", |bundle| {
            bundle.as_object_mut().unwrap().remove("verificationMaterial");
        }),
        ("another hint", |bundle| {
            bundle["verificationMaterial"]["publicKey"]["hint"] = json!("c29tZWJvZHkgZWxzZQ==");
        }),
        ("a bundle of version 0.1", |bundle| {
            bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.1");
        }),
        ("a field that bundles do not have", |bundle| bundle["more"] = json!(1)),
        ("a signature of bytes", |bundle| {
            let digest = STANDARD.encode(Digest::of(b"image").as_bytes());
            let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"].clone();
            bundle.as_object_mut().unwrap().remove("dsseEnvelope");
            bundle["messageSignature"] =
                json!({"messageDigest": {"algorithm": "SHA2_256", "digest": digest}, "signature": signature});
        }),
    ];
    for (name, change) in bundles {
        let image = place.copy_of_bundle(async |bundle| change(bundle)).await;
        rows.push(place.row(name, &image).await);
        place.beside_a_good_layer(name, &image, &mut rows).await;
    }

    let image = place.copy(async |manifest, bundle| {
        let half = bundle[..bundle.len() / 2].to_vec();
        place.upstream.replace_blob(&mut manifest["layers"][0], half).await;
    });
    let image = image.await;
    rows.push(place.row("the bundle cut", &image).await);
    place.beside_a_good_layer("the bundle cut", &image, &mut rows).await;
    let manifests: [(&str, BundleChange); 4] = [
        ("a layer of another size", |manifest| manifest["layers"][0]["size"] = json!(100)),
        ("a layer of another media type", |manifest| {
            manifest["layers"][0]["mediaType"] = json!("text/plain");
        }),
        ("two layers", |manifest| {
            let layers = manifest["layers"].as_array_mut().unwrap();
            layers.push(layers[0].clone());
        }),
        ("another artifact type", |manifest| manifest["artifactType"] = json!("application/vnd.example")),
    ];
    for (name, change) in manifests {
        let image = place.copy(async |manifest, _| change(manifest)).await;
        rows.push(place.row(name, &image).await);
        place.beside_a_good_layer(name, &image, &mut rows).await;
    }

    let image = place.image().await;
    let stranger = servers::unique("stranger");
    let path = format!("transit/keys/{stranger}");
    place.world.vault_call(Method::POST, &path, json!({"type": "ecdsa-p256"})).await;
    place.clients.cosign_sign(Cosign::V3, Layout::Bundle, &stranger, &image, &[]).await;
    rows.push(place.row("another key", &image).await);
    let image = place.signed().await;
    place.clients.cosign_sign(Cosign::V3, Layout::Bundle, &stranger, &image, &[]).await;
    rows.push(place.row("a bundle more, of another key", &image).await);
    let image = place.image().await;
    place.clients.cosign_sign(Cosign::V3, Layout::Bundle, &stranger, &image, &[]).await;
    place.beside_a_good_layer("a bundle of another key", &image, &mut rows).await;
    let image = place.signed().await;
    place.clients.cosign_sign(Cosign::V3, Layout::Cosign, &stranger, &image, &[]).await;
    rows.push(place.row("a layer of another key beside a good bundle", &image).await);

    let image = place.signed().await;
    let blob = place.upstream.bundle(digest_of(&image)).await["layers"][0]["digest"].clone();
    let blob = blob.as_str().unwrap().to_owned();
    for (name, fault) in [
        ("the bundle missing", Fault::status(404)),
        ("100 MiB announced by the registry and not sent", Fault::Announce(100 * MIB)),
    ] {
        let blob = blob.clone();
        place.world.registry_proxy.break_with(move |call| call.path.ends_with(&blob).then(|| fault.clone()));
        rows.push(place.row(name, &image).await);
        place.world.registry_proxy.mend();
    }
    let image = place.copy(async |manifest, _| manifest["layers"][0]["size"] = json!(100 * MIB)).await;
    let announce = |call: &crate::support::proxy::Call| {
        let blob = call.method == Method::GET && call.path.contains("/blobs/");
        blob.then_some(Fault::Announce(100 * MIB))
    };
    place.world.registry_proxy.break_with(announce);
    rows.push(place.row("100 MiB announced by the manifest and not sent", &image).await);
    place.world.registry_proxy.mend();
    rows
}

impl Place {
    /// What the bundle of `image`, whatever it is, makes of a good signature of the other layout. That does not
    /// depend on who made the bundle.
    async fn beside_a_good_layer(&self, name: &str, image: &str, rows: &mut Vec<String>) {
        if self.signer == Signer::Signet {
            self.clients.cosign_sign(Cosign::V3, Layout::Cosign, &self.world.key, image, &[]).await;
            rows.push(self.row_of(&format!("{name}, beside a good layer"), image, Look::Mixed).await);
        }
    }

    /// An image with a changed copy of the bundle that it was signed with: the bundle itself is gone.
    async fn copy_of_bundle(&self, change: impl AsyncFnOnce(&mut Value)) -> String {
        self.copy(async |manifest, bundle| {
            let mut bundle = serde_json::from_slice(&bundle).unwrap();
            change(&mut bundle).await;
            let bundle = bundle.to_string().into_bytes();
            self.upstream.replace_blob(&mut manifest["layers"][0], bundle).await;
        })
        .await
    }

    /// An image with a changed copy of the referrer that it was signed with.
    async fn copy(&self, change: impl AsyncFnOnce(&mut Value, Vec<u8>)) -> String {
        let image = self.signed().await;
        let original = self.upstream.bundle_digest(digest_of(&image)).await;
        let mut manifest = self.upstream.manifest(&original).await;
        let bundle = self.upstream.blob(&manifest["layers"][0]["digest"]).await;
        change(&mut manifest, bundle).await;
        // This registry has no referrers API: what its index does not list refers to nothing.
        self.upstream.put_referrer(digest_of(&image), &manifest).await;
        image
    }
}
