//! Signet and cosign sign the same image with the same key of Vault: nobody's signature is lost, and none is made twice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use signet::domain::{Digest, HashAlgorithm, KeyType, PublicKey, SigningInput};
use signet::format::dsse::{IN_TOTO, pre_authentication_encoding};

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::{on_each_registry, world};
use crate::support::proxy::signing_calls;
use crate::support::{World, servers};
use crate::upstream::{Upstream, digest_of, signature_tag};

on_each_registry!(
    signatures_of_cosign_before_and_after_ours_stay,
    a_signature_of_cosign_is_found_and_adopted,
    a_bundle_of_cosign_is_found_and_adopted,
    our_payload_is_the_one_that_cosign_signs,
    two_keys_sign_one_image,
);

async fn signatures_of_cosign_before_and_after_ours_stay(registry: &'static str) {
    let world = world(registry).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    let image = clients.push_image(&upstream.repository).await;
    let by = |name: &str| format!("by={name}");

    clients.cosign_sign(Cosign::V2, Layout::Cosign, &world.key, &image, &["-a", &by("v2")]).await;
    clients.cosign_sign(Cosign::V3, Layout::Cosign, &world.key, &image, &["-a", &by("v3")]).await;
    sign(&world, &image, json!({"annotations": {"by": "signet"}}), 201).await;
    clients.cosign_sign(Cosign::V2, Layout::Cosign, &world.key, &image, &["-a", &by("v2-later")]).await;
    clients.cosign_sign(Cosign::V3, Layout::Cosign, &world.key, &image, &["-a", &by("v3-later")]).await;
    sign(&world, &image, json!({"annotations": {"by": "signet-later"}}), 201).await;

    let pem = world.public_key(1).await;
    for name in ["v2", "v3", "signet", "v2-later", "v3-later", "signet-later"] {
        clients.assert_verified(Layout::Cosign, &pem, &image, &["-a", &by(name)]).await;
    }
    let manifest = upstream.manifest(&signature_tag(digest_of(&image))).await;
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 6);
}

async fn a_signature_of_cosign_is_found_and_adopted(registry: &'static str) {
    let world = world(registry).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    for version in Cosign::ALL {
        let image = clients.push_image(&upstream.repository).await;
        // cosign's own default names the repository as it is reached, and that is another one than the proxy's.
        let identity = format!("--sign-container-identity={}", world.repository);
        clients.cosign_sign(version, Layout::Cosign, &world.key, &image, &[&identity]).await;
        assert_is_adopted(&world, &image, json!({})).await;
    }
}

async fn a_bundle_of_cosign_is_found_and_adopted(registry: &'static str) {
    let world = world(registry).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    let image = clients.push_image(&upstream.repository).await;
    clients.cosign_sign(Cosign::V3, Layout::Bundle, &world.key, &image, &[]).await;
    assert_is_adopted(&world, &image, json!({"format": "bundle"})).await;

    let image = clients.push_image(&upstream.repository).await;
    clients.cosign_sign(Cosign::V3, Layout::Bundle, &world.key, &image, &["-a", "k=v"]).await;
    // The image has bundles, so that a bundle is looked for without being asked for.
    assert_is_adopted(&world, &image, json!({"annotations": {"k": "v"}})).await;
}

/// Asks for the signature that is there: Vault is not called, the registry is not written to, and the log says so.
async fn assert_is_adopted(world: &World, image: &str, request: Value) {
    world.vault_proxy.take_calls();
    world.registry_proxy.take_calls();
    let first = sign(world, image, request.clone(), 200).await;
    assert_eq!(first["signatures"][0]["created"], false);
    assert_is_what_was_signed(world, &first).await;
    let again = sign(world, image, request, 200).await;
    assert_eq!(again, first);
    assert!(signing_calls(&world.vault_proxy.take_calls()).is_empty());
    let calls = world.registry_proxy.take_calls();
    assert!(calls.iter().all(|call| call.method == Method::GET || call.method == Method::HEAD), "{calls:?}");

    let entries = world.entries(&format!("digest={}", digest_of(image))).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["adopted"]);
    assert_eq!(entries[0]["id"], first["id"]);
    let payload = STANDARD.decode(first["signatures"][0]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(entries[0]["payload"], json!(Digest::of(&payload)));
}

/// The signature of an answer verifies over the payload of the same answer.
async fn assert_is_what_was_signed(world: &World, answer: &Value) {
    let [payload, signature] = ["payload", "signature"]
        .map(|name| STANDARD.decode(answer["signatures"][0][name].as_str().unwrap()).unwrap());
    let signed = match answer["signatures"][0]["format"] == "bundle" {
        true => pre_authentication_encoding(IN_TOTO, &payload.into()).to_bytes().into(),
        false => payload,
    };
    let signed = SigningInput::of(&KeyType::EcdsaP256, HashAlgorithm::Sha256, &signed.into());
    assert!(PublicKey::from_pem(&world.public_key(1).await).unwrap().verifies(&signed, &signature));
}

async fn our_payload_is_the_one_that_cosign_signs(registry: &'static str) {
    let world = world(registry).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    let identity = format!("--sign-container-identity={}", world.repository);
    for (annotations, arguments) in
        [(json!({}), vec![]), (json!({"b": "<&>é", "a": "1"}), vec!["-a", "b=<&>é", "-a", "a=1"])]
    {
        for version in Cosign::ALL {
            let image = clients.push_image(&upstream.repository).await;
            sign(&world, &image, json!({"annotations": annotations}), 201).await;
            // Another annotation of the layer would not do: cosign skips what it finds signed already. Another key does.
            let other = another_key(&world).await;
            let arguments = [vec![identity.as_str()], arguments.clone()].concat();
            clients.cosign_sign(version, Layout::Cosign, &other, &image, &arguments).await;
            let manifest = upstream.manifest(&signature_tag(digest_of(&image))).await;
            let layers = manifest["layers"].as_array().unwrap();
            assert_eq!(layers.len(), 2);
            assert_eq!(layers[0]["digest"], layers[1]["digest"], "{version:?} {annotations}");
        }
    }
}

async fn two_keys_sign_one_image(registry: &'static str) {
    let mut world = world(registry).await;
    let other = another_key(&world).await;
    allow_key(&mut world, &other).await;
    let (clients, upstream) = (Clients::of(&world), Upstream::of(&world));
    for layout in Layout::ALL {
        let image = clients.push_image(&upstream.repository).await;
        for key in [&world.key, &other] {
            sign(&world, &image, json!({"format": layout.name(), "key": key}), 201).await;
        }
        for key in [&world.key, &other] {
            sign(&world, &image, json!({"key": key}), 200).await;
            let pem = world.get(&format!("/v1/keys/{key}/versions/1/public-key")).await;
            clients.assert_verified(layout, pem.body.as_str().unwrap(), &image, &[]).await;
        }
    }
}

/// Has Signet sign `image` as `request` says, and returns its answer.
async fn sign(world: &World, image: &str, mut request: Value, status: u16) -> Value {
    request["image"] = json!(world.image(digest_of(image)));
    let answer = world.sign(request).await;
    assert_eq!(answer.status, status, "{answer:?}");
    answer.body
}

async fn another_key(world: &World) -> String {
    let key = servers::unique("other");
    world.vault_call(Method::POST, &format!("transit/keys/{key}"), json!({"type": "ecdsa-p256"})).await;
    key
}

/// Starts Signet again with one more key.
async fn allow_key(world: &mut World, key: &str) {
    let (config, policy) =
        (world.directory.path().join("signet.toml"), world.directory.path().join("policy.yaml"));
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[[keys]]\nname = '{key}'\n")).unwrap();
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, text.replace("keys: [", &format!("keys: ['{key}', "))).unwrap();
    // The new token's policies name one key each.
    servers::signing_token(&world.client, &world.vault, key, &world.log_key).await;
    let token = json!({"policies": [servers::policy_name(key, 0), servers::policy_name(&world.key, 0)]});
    let made = world.vault_call(Method::POST, "auth/token/create", token).await;
    let token = made["auth"]["client_token"].as_str().unwrap();
    std::fs::write(world.directory.path().join("vault-token"), token).unwrap();
    world.restart();
}
