//! Signatures below a tag.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::Digest;

use super::{Place, Signer};
use crate::support::{Fault, servers};
use crate::upstream::{SIGNATURE, change_last_byte, digest_of, signature_tag};

const MIB: u64 = 1024 * 1024;

type PayloadChange = Arc<dyn Fn(String) -> String>;
type LayerChange = fn(&mut Value);

pub async fn rows(place: &Place) -> Vec<String> {
    let mut rows = Vec::new();
    rows.push(place.row("good", &place.signed().await).await);
    rows.push(place.row("no signature", &place.image().await).await);

    let others_digest = |payload: String| {
        let at = payload.find("sha256:").unwrap();
        payload.replace(&payload[at..at + 71], &Digest::of(b"other").to_string())
    };
    let repository = place.world.repository.clone();
    let payloads: [(&str, PayloadChange); 4] = [
        ("signed for another digest", Arc::new(others_digest)),
        (
            "signed for another repository",
            Arc::new(move |payload| payload.replace(&repository, "registry.example.com/other/app")),
        ),
        (
            "signed as another kind of signature",
            Arc::new(|payload| payload.replace("cosign container", "atomic container")),
        ),
        ("signed, and no JSON", Arc::new(|_| "approved".to_owned())),
    ];
    for (name, change) in payloads {
        let image = place.signed().await;
        let payload = String::from_utf8(place.payload(&image).await).unwrap();
        let payload = change(payload).into_bytes();
        let signature = place.world.vault_signature(&payload).await;
        place.change_layer(&image, async |layer| place.set(layer, payload, &signature).await).await;
        rows.push(place.row(name, &image).await);
    }

    let image = place.signed().await;
    place.change_layer(&image, async |layer| change_last_byte(&mut layer["annotations"][SIGNATURE])).await;
    rows.push(place.row("a byte of the signature changed", &image).await);

    let (image, other) = (place.signed().await, place.signed().await);
    let swapped = place.layer(&other).await["annotations"][SIGNATURE].clone();
    place.change_layer(&image, async |layer| layer["annotations"][SIGNATURE] = swapped.clone()).await;
    rows.push(place.row("another image's signature", &image).await);

    let image = place.image().await;
    let manifest = place.upstream.manifest(&signature_tag(digest_of(&other))).await;
    place.upstream.put(&signature_tag(digest_of(&image)), &manifest).await;
    rows.push(place.row("another image's layers", &image).await);

    let image = place.image().await;
    let stranger = servers::unique("stranger");
    let path = format!("transit/keys/{stranger}");
    place.world.vault_call(Method::POST, &path, json!({"type": "ecdsa-p256"})).await;
    place.clients.cosign_sign(crate::clients::Cosign::V2, place.layout, &stranger, &image, &[]).await;
    rows.push(place.row("another key", &image).await);

    let image = place.signed().await;
    let half = place.payload(&image).await[..100].to_vec();
    place.change_layer(&image, async |layer| place.upstream.replace_blob(layer, half.clone()).await).await;
    rows.push(place.row("the payload cut", &image).await);

    let layers: [(&str, LayerChange); 4] = [
        ("a layer of another size", |layer| layer["size"] = json!(100)),
        ("a layer of another media type", |layer| layer["mediaType"] = json!("text/plain")),
        ("a layer without signature", |layer| layer["annotations"] = json!({"a": "b"})),
        ("a signature that is no base64", |layer| layer["annotations"][SIGNATURE] = json!("?")),
    ];
    for (name, change) in layers {
        let image = place.signed().await;
        place.change_layer(&image, async |layer| change(layer)).await;
        rows.push(place.row(name, &image).await);
    }

    let image = place.signed().await;
    place.change(&image, |manifest| add_junk(manifest, 1)).await;
    rows.push(place.row("a layer more", &image).await);
    // cosign takes a minute for each.
    if place.signer == Signer::Signet {
        let image = place.signed().await;
        place.change(&image, |manifest| add_junk(manifest, 999)).await;
        rows.push(place.row("1,000 layers", &image).await);
        place.change(&image, |manifest| add_junk(manifest, 1)).await;
        rows.push(place.row("1,001 layers", &image).await);
    }

    let image = place.signed().await;
    let blob = place.layer(&image).await["digest"].as_str().unwrap().to_owned();
    let missing = blob.clone();
    place
        .world
        .registry_proxy
        .break_with(move |call| call.path.ends_with(&missing).then(|| Fault::status(404)));
    rows.push(place.row("the payload missing", &image).await);
    let unsent = blob.clone();
    let announce = move |call: &crate::support::proxy::Call| {
        call.path.ends_with(&unsent).then_some(Fault::Announce(100 * MIB))
    };
    place.world.registry_proxy.break_with(announce);
    rows.push(place.row("100 MiB announced by the registry and not sent", &image).await);
    place.change_layer(&image, async |layer| layer["size"] = json!(100 * MIB)).await;
    rows.push(place.row("100 MiB announced by the manifest and not sent", &image).await);
    // A signature that is as it should be, over another payload.
    let payload = String::from_utf8(place.upstream.blob(&json!(blob)).await).unwrap();
    let payload = payload.replace(r#""optional":null"#, r#""optional":{"beside":"it"}"#).into_bytes();
    let signature = place.world.vault_signature(&payload).await;
    let mut layer = place.layer(&image).await;
    place.set(&mut layer, payload, &signature).await;
    place.change(&image, |manifest| manifest["layers"].as_array_mut().unwrap().push(layer)).await;
    rows.push(place.row("100 MiB announced and not sent, beside a good layer", &image).await);
    place.world.registry_proxy.mend();
    rows
}

fn add_junk(manifest: &mut Value, count: usize) {
    let layers = manifest["layers"].as_array_mut().unwrap();
    let mut junk = layers.last().unwrap().clone();
    junk["annotations"][SIGNATURE] = json!("MAYCAQECAQE=");
    layers.splice(0..0, vec![junk; count]);
}

impl Place {
    /// The layer of an image that was signed once.
    async fn layer(&self, image: &str) -> Value {
        self.upstream.manifest(&signature_tag(digest_of(image))).await["layers"][0].clone()
    }

    async fn payload(&self, image: &str) -> Vec<u8> {
        self.upstream.blob(&self.layer(image).await["digest"]).await
    }

    /// Makes `layer` one of `payload`.
    async fn set(&self, layer: &mut Value, payload: Vec<u8>, signature: &[u8]) {
        use base64::Engine as _;
        self.upstream.replace_blob(layer, payload).await;
        let signature = base64::engine::general_purpose::STANDARD.encode(signature);
        layer["annotations"][SIGNATURE] = json!(signature);
    }

    async fn change(&self, image: &str, change: impl FnOnce(&mut Value)) {
        let tag = signature_tag(digest_of(image));
        let mut manifest = self.upstream.manifest(&tag).await;
        change(&mut manifest);
        self.upstream.put(&tag, &manifest).await;
    }

    async fn change_layer(&self, image: &str, change: impl AsyncFnOnce(&mut Value)) {
        let mut layer = self.layer(image).await;
        change(&mut layer).await;
        self.change(image, |manifest| manifest["layers"][0] = layer).await;
    }
}
