//! What Signet signs, the stock cosign verifies; and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::{Clock as _, Digest, SystemClock, Timestamp};

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::{on_each_registry, world};
use crate::support::{World, servers};
use crate::upstream::{SIGNATURE, Upstream, change_last_byte, digest_of, signature_tag};

on_each_registry!(
    what_signet_signs_verifies,
    annotations_are_verified_and_other_values_are_not,
    an_image_index_verifies,
    another_key_is_refused,
    a_signature_of_another_image_is_refused,
    one_changed_byte_is_refused,
    the_date_of_a_signature_is_now,
);

async fn what_signet_signs_verifies(registry: &'static str) {
    let world = world(registry).await;
    for layout in Layout::ALL {
        let (clients, image) = signed(&world, layout, json!({})).await;
        clients.assert_verified(layout, &world.public_key(1).await, &image, &[]).await;
    }
}

async fn annotations_are_verified_and_other_values_are_not(registry: &'static str) {
    let world = world(registry).await;
    let pem = world.public_key(1).await;
    for layout in Layout::ALL {
        // Go escapes some of these in JSON.
        let (clients, image) = signed(&world, layout, json!({"commit": "abc", "b": "<&> é\u{2028}"})).await;
        clients.assert_verified(layout, &pem, &image, &["-a", "commit=abc"]).await;
        clients.assert_verified(layout, &pem, &image, &["-a", "commit=abc", "-a", "b=<&> é\u{2028}"]).await;
        for others in [["-a", "commit=abd"].as_slice(), &["-a", "commit=abc", "-a", "more=1"]] {
            match layout {
                Layout::Cosign => clients.assert_refused(layout, &pem, &image, others).await,
                // cosign 2.6 does not look at the annotations of bundles.
                Layout::Bundle => clients.assert_refused_by(Cosign::V3, layout, &pem, &image, others).await,
            }
        }
    }
}

async fn an_image_index_verifies(registry: &'static str) {
    let world = world(registry).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    for layout in Layout::ALL {
        let children =
            [clients.push_image(&upstream.repository).await, clients.push_image(&upstream.repository).await];
        let tag = format!("{}:index-{}", upstream.repository, layout.name());
        let index =
            clients.crane(&["index", "append", "-m", &children[0], "-m", &children[1], "-t", &tag]).await;
        let index = match index.contains('@') {
            true => index,
            false => format!("{}@{}", upstream.repository, clients.crane(&["digest", &tag]).await),
        };
        let answer =
            world.sign(json!({"image": world.image(digest_of(&index)), "format": layout.name()})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let pem = world.public_key(1).await;
        clients.assert_verified(layout, &pem, &index, &[]).await;
        clients.assert_refused(layout, &pem, &children[0], &[]).await;
    }
}

async fn another_key_is_refused(registry: &'static str) {
    let world = world(registry).await;
    let other = servers::unique("other");
    let path = format!("transit/keys/{other}");
    world.vault_call(Method::POST, &path, json!({"type": "ecdsa-p256"})).await;
    let other = world.vault_call(Method::GET, &path, Value::Null).await;
    let other = other["data"]["keys"]["1"]["public_key"].as_str().unwrap();
    for layout in Layout::ALL {
        let (clients, image) = signed(&world, layout, json!({})).await;
        clients.assert_refused(layout, other, &image, &[]).await;
    }
}

async fn a_signature_of_another_image_is_refused(registry: &'static str) {
    let world = world(registry).await;
    let upstream = Upstream::of(&world);
    let pem = world.public_key(1).await;
    for layout in Layout::ALL {
        let (clients, image) = signed(&world, layout, json!({})).await;
        let unsigned = clients.push_image(&upstream.repository).await;
        clients.assert_refused(layout, &pem, &unsigned, &[]).await;

        let other = digest_of(&unsigned);
        match layout {
            Layout::Cosign => {
                let manifest = upstream.manifest(&signature_tag(digest_of(&image))).await;
                upstream.put(&signature_tag(other), &manifest).await;
            }
            Layout::Bundle => {
                let mut manifest = upstream.bundle(digest_of(&image)).await;
                manifest["subject"]["digest"] = json!(other);
                upstream.put_referrer(other, &manifest).await;
            }
        }
        clients.assert_refused(layout, &pem, &unsigned, &[]).await;
    }
}

async fn one_changed_byte_is_refused(registry: &'static str) {
    let world = world(registry).await;
    let pem = world.public_key(1).await;
    for layout in Layout::ALL {
        let (clients, image) = signed(&world, layout, json!({"k": "v"})).await;
        let digest = digest_of(&image);
        for (name, change) in
            [("same", None), ("signature", Some(What::Signature)), ("payload", Some(What::Payload))]
        {
            // A copy of the image, with a copy of its signature in which one byte is another.
            let copy = Upstream::of(&world).beside(&format!("{}-{name}", layout.name()));
            clients.crane(&["copy", &image, &format!("{}:copy", copy.repository)]).await;
            match layout {
                Layout::Cosign => {
                    copy_layer(&clients, &Upstream::of(&world), &copy, digest, change).await;
                }
                Layout::Bundle => copy_bundle(&Upstream::of(&world), &copy, digest, change).await,
            }
            match change {
                None => clients.assert_verified(layout, &pem, &copy.image(digest), &[]).await,
                Some(_) => clients.assert_refused(layout, &pem, &copy.image(digest), &[]).await,
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum What {
    Signature,
    Payload,
}

async fn copy_layer(clients: &Clients, from: &Upstream, to: &Upstream, image: Digest, change: Option<What>) {
    let tag = signature_tag(image);
    let reference = |upstream: &Upstream| format!("{}:{tag}", upstream.repository);
    clients.crane(&["copy", &reference(from), &reference(to)]).await;
    let mut manifest = to.manifest(&tag).await;
    let layer = &mut manifest["layers"][0];
    match change {
        None => {}
        Some(What::Signature) => change_last_byte(&mut layer["annotations"][SIGNATURE]),
        Some(What::Payload) => {
            let payload = change_value(to.blob(&layer["digest"]).await);
            to.replace_blob(layer, payload).await;
        }
    }
    to.put(&tag, &manifest).await;
}

async fn copy_bundle(from: &Upstream, to: &Upstream, image: Digest, change: Option<What>) {
    let mut manifest = from.bundle(image).await;
    let mut bundle: Value =
        serde_json::from_slice(&from.blob(&manifest["layers"][0]["digest"]).await).unwrap();
    let envelope = &mut bundle["dsseEnvelope"];
    match change {
        None => {}
        Some(What::Signature) => change_last_byte(&mut envelope["signatures"][0]["sig"]),
        Some(What::Payload) => {
            let statement = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
            envelope["payload"] = json!(STANDARD.encode(change_value(statement)));
        }
    }
    to.replace_blob(&mut manifest["layers"][0], bundle.to_string().into_bytes()).await;
    to.replace_blob(&mut manifest["config"], b"{}".to_vec()).await;
    to.put_referrer(image, &manifest).await;
}

/// The document with another value of the annotation `k`: it stays well formed, and one byte is another.
fn change_value(document: Vec<u8>) -> Vec<u8> {
    let document = String::from_utf8(document).unwrap();
    let changed = document.replacen(r#""k":"v""#, r#""k":"w""#, 1);
    assert_ne!(changed, document);
    changed.into_bytes()
}

async fn the_date_of_a_signature_is_now(registry: &'static str) {
    let world = world(registry).await;
    let upstream = Upstream::of(&world);
    for layout in Layout::ALL {
        let (clients, image) = signed(&world, layout, json!({})).await;
        let digest = digest_of(&image);
        let created = match layout {
            Layout::Cosign => {
                let tag = format!("{}:{}", upstream.repository, signature_tag(digest));
                let config: Value = serde_json::from_str(&clients.crane(&["config", &tag]).await).unwrap();
                config["created"].clone()
            }
            Layout::Bundle => {
                let bundle = format!("{}@{}", upstream.repository, upstream.bundle_digest(digest).await);
                let manifest: Value =
                    serde_json::from_str(&clients.crane(&["manifest", &bundle]).await).unwrap();
                manifest["annotations"]["org.opencontainers.image.created"].clone()
            }
        };
        let created: Timestamp = created.as_str().unwrap().parse().unwrap();
        let age = SystemClock.now().duration_since(created);
        assert!((0..60).contains(&age.as_secs()), "{created} is {age:?} ago");
    }
}

/// An image that Signet signed just now, and the reference past the proxy.
async fn signed(world: &World, layout: Layout, annotations: Value) -> (Clients, String) {
    let clients = Clients::of(world);
    let image = clients.push_image(&Upstream::of(world).repository).await;
    let request =
        json!({"image": world.image(digest_of(&image)), "format": layout.name(), "annotations": annotations});
    let answer = world.sign(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["signatures"][0]["format"], layout.name());
    (clients, image)
}
