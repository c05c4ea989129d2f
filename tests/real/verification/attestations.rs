//! Attestations of both layouts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use signet::domain::Digest;
use signet::format::dsse::{IN_TOTO, pre_authentication_encoding};

use super::{Look, Place, Signer};
use crate::clients::{Cosign, Layout};
use crate::upstream::{Upstream, change_last_byte, digest_of};

/// What is attested, and asked for.
const TYPE: &str = "https://example.com/approval/v1";

type EnvelopeChange = fn(&mut Value);
type LayerChange = fn(&mut Value);
type StatementChange = fn(String) -> String;

pub async fn rows(place: &Place) -> Vec<String> {
    let ask = async |name: &str, image: &str| place.row_of(name, image, Look::Attestation(TYPE)).await;
    let mut rows = Vec::new();
    rows.push(ask("good", &place.attested(TYPE).await).await);
    rows.push(ask("of another type", &place.attested("https://example.com/other/v1").await).await);
    let image = place.attested("https://example.com/other/v1").await;
    place.attest(&image, TYPE).await;
    rows.push(ask("beside one of another type", &image).await);
    let image = place.attested("spdxjson").await;
    rows.push(place.row_of("of a type with a short name", &image, Look::Attestation("spdxjson")).await);

    let statements: [(&str, StatementChange); 4] = [
        ("signed for another digest", |statement| {
            let at = statement.find(r#""sha256":""#).unwrap() + 10;
            statement.replace(&statement[at..at + 64], &Digest::of(b"other").hex())
        }),
        ("signed for another repository", |statement| {
            let at = statement.find(r#""name":""#).unwrap() + 8;
            let end = at + statement[at..].find('"').unwrap();
            statement.replace(&statement[at..end], "registry.example.com/other/app")
        }),
        ("a field that statements do not have", |statement| statement.replacen('{', r#"{"more":1,"#, 1)),
        ("signed, and no statement", |_| r#"{"approved":true}"#.to_owned()),
    ];
    for (name, change) in statements {
        let image = place.changed(async |envelope| {
            let statement = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
            let statement = change(String::from_utf8(statement).unwrap()).into_bytes();
            envelope["payload"] = json!(STANDARD.encode(&statement));
            let signed = pre_authentication_encoding(IN_TOTO, &statement.into()).to_bytes();
            let signature = place.world.vault_signature(&signed).await;
            envelope["signatures"][0]["sig"] = json!(STANDARD.encode(signature));
        });
        rows.push(ask(name, &image.await).await);
    }

    let envelopes: [(&str, EnvelopeChange); 6] = [
        ("a byte of the signature changed", |envelope| {
            change_last_byte(&mut envelope["signatures"][0]["sig"]);
        }),
        ("another payload type", |envelope| envelope["payloadType"] = json!("text/plain")),
        ("the key's id in the envelope", |envelope| envelope["signatures"][0]["keyid"] = json!("release")),
        ("a signature more", |envelope| {
            let signatures = envelope["signatures"].as_array_mut().unwrap();
            let mut junk = signatures[0].clone();
            change_last_byte(&mut junk["sig"]);
            signatures.insert(0, junk);
        }),
        ("no signature", |envelope| envelope["signatures"] = json!([])),
        ("a field that envelopes do not have", |envelope| envelope["more"] = json!(1)),
    ];
    for (name, change) in envelopes {
        rows.push(ask(name, &place.changed(async |envelope| change(envelope)).await).await);
    }

    if place.layout == Layout::Cosign {
        let layers: [(&str, LayerChange); 4] = [
            ("a layer of another media type", |layer| layer["mediaType"] = json!("text/plain")),
            ("a layer without the annotation", |layer| layer["annotations"] = json!({"a": "b"})),
            ("a layer that claims another type", |layer| {
                layer["annotations"]["predicateType"] = json!("x:y")
            }),
            ("a layer of another size", |layer| layer["size"] = json!(100)),
        ];
        for (name, change) in layers {
            let image = place.attested(TYPE).await;
            let mut manifest = place.upstream.manifest(&tag(&image)).await;
            change(&mut manifest["layers"][0]);
            place.upstream.put(&tag(&image), &manifest).await;
            rows.push(ask(name, &image).await);
        }
    }
    rows
}

fn tag(image: &str) -> String {
    format!("sha256-{}.att", digest_of(image).hex())
}

impl Place {
    async fn attested(&self, predicate_type: &str) -> String {
        let image = self.image().await;
        self.attest(&image, predicate_type).await;
        image
    }

    async fn attest(&self, image: &str, predicate_type: &str) {
        let Signer::Cosign(version) = self.signer else { panic!("not by this one") };
        let predicate = match predicate_type {
            "spdxjson" => json!({"SPDXID": "SPDXRef-DOCUMENT", "spdxVersion": "SPDX-2.3", "name": "app"}),
            _ => json!({"approved": true}),
        };
        let predicate = self.clients.file("predicate.json", predicate.to_string());
        let key = format!("hashivault://{}", self.world.key);
        let mut arguments = vec!["attest", "--yes", "--tlog-upload=false", "--key", &key];
        match (version, self.layout) {
            (Cosign::V2, _) => {}
            (Cosign::V3, Layout::Cosign) => {
                arguments.extend(["--use-signing-config=false", "--new-bundle-format=false"]);
            }
            (Cosign::V3, Layout::Bundle) => arguments.push("--use-signing-config=false"),
        }
        arguments.extend(["--predicate", &predicate, "--type", predicate_type, image]);
        let ended = self.clients.cosign(version, &arguments).await;
        assert!(ended.success, "{arguments:?}: {}", ended.stderr);
    }

    /// An image whose attestation's envelope is another one than it was.
    async fn changed(&self, change: impl AsyncFnOnce(&mut Value)) -> String {
        let image = self.attested(TYPE).await;
        let upstream: &Upstream = &self.upstream;
        match self.layout {
            Layout::Cosign => {
                let mut manifest = upstream.manifest(&tag(&image)).await;
                let layer = &mut manifest["layers"][0];
                let mut envelope = serde_json::from_slice(&upstream.blob(&layer["digest"]).await).unwrap();
                change(&mut envelope).await;
                upstream.replace_blob(layer, envelope.to_string().into_bytes()).await;
                upstream.put(&tag(&image), &manifest).await;
            }
            Layout::Bundle => {
                let mut manifest = upstream.bundle(digest_of(&image)).await;
                let layer = &mut manifest["layers"][0];
                let mut bundle: Value =
                    serde_json::from_slice(&upstream.blob(&layer["digest"]).await).unwrap();
                change(&mut bundle["dsseEnvelope"]).await;
                upstream.replace_blob(layer, bundle.to_string().into_bytes()).await;
                upstream.put_referrer(digest_of(&image), &manifest).await;
            }
        }
        image
    }
}
