//! `/v1/keys` and `/.well-known/signet/keys.json`: what those who verify are told, whatever becomes of a key in Vault.

use futures::future::join_all;
use reqwest::Method;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use signet::domain::{KeyType, PublicKey};

use crate::support::World;
use crate::support::servers::{KeyForm, signing_token_for};
use crate::support::world::Settings;

const WELL_KNOWN: &str = "/.well-known/signet/keys.json";

/// A world that sees at once what happens in Vault.
async fn attentive(key: KeyForm) -> World {
    let lines = vec![("vault", "key_poll = '30ms'".to_owned())];
    World::with(Settings { lines, key, ..Settings::default() }).await
}

async fn key(world: &World) -> Value {
    world.get(&format!("/v1/keys/{}", world.key)).await.body
}

/// The key, once it is as `condition` wants it.
async fn until(world: &World, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    world.eventually(what, async || Some(key(world).await).filter(&condition)).await
}

fn states(key: &Value) -> Vec<(u64, &str)> {
    let versions = key["versions"].as_array().unwrap().iter();
    versions
        .map(|version| (version["version"].as_u64().unwrap(), version["state"].as_str().unwrap()))
        .collect()
}

async fn configure(world: &World, settings: Value) {
    world.vault_call(Method::POST, &format!("transit/keys/{}/config", world.key), settings).await;
}

async fn delete(world: &World) {
    configure(world, json!({"deletion_allowed": true})).await;
    world.vault_call(Method::DELETE, &format!("transit/keys/{}", world.key), json!({})).await;
}

#[tokio::test]
async fn each_type_signs_images_and_is_published_with_its_algorithm() {
    let forms = KeyType::SUPPORTED.map(|key_type| (key_type, None));
    let others = [(KeyType::EcdsaP384, Some("sha2-384")), (KeyType::Rsa2048, Some("sha2-512"))];
    let check = async |(key_type, hash): (KeyType, Option<&'static str>)| {
        let name: &'static str = key_type.to_string().leak();
        let world = attentive(KeyForm { key_type: name, hash }).await;
        for format in ["cosign", "bundle"] {
            let image = world.push_image().await;
            let answer = world.sign(json!({"image": image, "format": format})).await;
            assert_eq!(answer.status, 201, "{key_type} {hash:?} {format}: {answer:?}");
            let again = world.sign(json!({"image": image, "format": format})).await;
            assert_eq!(again.status, 200, "{key_type} {hash:?} {format}: {again:?}");
        }
        let key = key(&world).await;
        let padding = if name.starts_with("rsa") { "-pkcs1v15" } else { "" };
        let expected = match key_type {
            KeyType::Ed25519 => json!([name, null, name]),
            _ => {
                let hash = hash.unwrap_or("sha2-256");
                json!([name, hash, format!("{name}{padding}-{hash}")])
            }
        };
        assert_eq!(json!([key["type"], key["hash"], key["versions"][0]["algorithm"]]), expected);
        let pem = world.public_key(1).await;
        let public_key = PublicKey::from_pem(&pem).unwrap();
        assert_eq!(public_key.key_type(), &key_type);
        assert_eq!(key["versions"][0]["public_key"], pem);
        assert_eq!(key["versions"][0]["fingerprint"], public_key.fingerprint().to_string());
    };
    join_all(forms.into_iter().chain(others).map(check)).await;
}

#[tokio::test]
async fn versions_have_states_and_the_time_in_which_they_were_the_one_that_signs() {
    let world = attentive(KeyForm::default()).await;
    world.rotate().await;
    world.rotate().await;
    let all = until(&world, "three versions", |key| key["latest_version"] == 3).await;
    assert_eq!(states(&all), [(1, "usable"), (2, "usable"), (3, "active")]);
    let versions = all["versions"].as_array().unwrap();
    for pair in versions.windows(2) {
        assert_eq!(pair[0]["active_until"], pair[1]["active_from"]);
        assert_eq!(pair[0]["active_from"], pair[0]["created_at"]);
    }
    assert_eq!(versions[2]["active_until"], Value::Null);
    assert_eq!((&all["in_vault"], &all["auto_rotate_period"]), (&json!(true), &Value::Null));

    // Vault drops what it signs with no more, public keys included. Signet does not.
    world.set_minimum(3).await;
    let later = until(&world, "a minimum", |key| states(key)[1].1 == "retired").await;
    assert_eq!(states(&later), [(1, "retired"), (2, "retired"), (3, "active")]);
    for (before, after) in versions.iter().zip(later["versions"].as_array().unwrap()) {
        assert_eq!(
            (&before["public_key"], &before["active_until"]),
            (&after["public_key"], &after["active_until"])
        );
    }
    // Vault gives back what it has not trimmed.
    world.set_minimum(1).await;
    let back = until(&world, "no minimum", |key| states(key)[0].1 == "usable").await;
    assert_eq!(back, all);
}

#[tokio::test]
async fn what_was_trimmed_is_published_also_after_a_restart() {
    let mut world = attentive(KeyForm::default()).await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    let first = world.public_key(1).await;
    world.rotate().await;
    until(&world, "two versions", |key| key["latest_version"] == 2).await;
    configure(&world, json!({"min_decryption_version": 2, "min_encryption_version": 2})).await;
    let trim = format!("transit/keys/{}/trim", world.key);
    world.vault_call(Method::POST, &trim, json!({"min_available_version": 2})).await;
    world.restart();

    let key = until(&world, "the minimum", |key| states(key) == [(1, "retired"), (2, "active")]).await;
    assert_eq!(key["versions"][0]["public_key"], first);
    assert_eq!(world.public_key(1).await, first);
    let answer = world.sign(json!({"image": image, "key_version": 1})).await;
    world.assert_problem(&answer, 409, "key-version-unavailable");
}

#[tokio::test]
async fn a_key_that_was_deleted_is_published_and_signs_nothing() {
    let world = attentive(KeyForm::default()).await;
    let before = key(&world).await;
    delete(&world).await;
    let after = until(&world, "the end of the key", |key| key["in_vault"] == false).await;
    assert_eq!(states(&after), [(1, "retired")]);
    assert_eq!(after["versions"][0]["public_key"], before["versions"][0]["public_key"]);
    let image = world.push_image().await;
    let answer = world.sign_image(&image).await;
    world.assert_problem(&answer, 404, "key-not-found");
    let list = world.get("/v1/keys").await;
    assert_eq!((list.status.as_u16(), &list.body["keys"][0]["in_vault"]), (200, &json!(false)));
    assert_eq!(world.entries("kind=intent").await.len(), 0);
}

#[tokio::test]
async fn a_key_that_was_made_anew_signs_as_itself_and_the_old_one_is_still_published() {
    for (old, new) in [("ecdsa-p256", "ecdsa-p256"), ("ecdsa-p256", "rsa-2048")] {
        let world = attentive(KeyForm { key_type: old, hash: None }).await;
        let image = world.push_image().await;
        let first = world.sign_image(&image).await;
        assert_eq!(first.status, 201, "{first:?}");
        delete(&world).await;
        world.vault_call(Method::POST, &format!("transit/keys/{}", world.key), json!({"type": new})).await;
        let key =
            until(&world, "the new key", |key| !key["former"].is_null() && key["in_vault"] == true).await;
        assert_eq!((&key["type"], states(&key)), (&json!(new), vec![(1, "active")]));
        let former = &key["former"].as_array().unwrap()[..];
        assert_eq!(former.len(), 1);
        assert_eq!((&former[0]["version"], &former[0]["state"]), (&json!(1), &json!("replaced")));
        assert_eq!(former[0]["fingerprint"], first.body["key"]["fingerprint"]);
        assert_eq!(former[0]["active_until"], key["versions"][0]["active_from"]);

        // The same number is another key pair: the signature is another, and verifies.
        let second = world.sign_image(&image).await;
        assert_eq!(second.status, 201, "{second:?}");
        assert_eq!(second.body["key"]["fingerprint"], key["versions"][0]["fingerprint"]);
        assert_eq!(world.signatures(&image).await, 2);
    }
}

#[tokio::test]
async fn a_key_that_was_made_anew_a_moment_ago_signs_as_itself() {
    for (old, new) in [("ecdsa-p256", "ecdsa-p256"), ("ecdsa-p256", "ed25519"), ("ed25519", "ecdsa-p256")] {
        // The key is read no more by itself. The token may do what it needs for either type.
        let key = KeyForm { key_type: old, hash: None };
        let world = World::counted_with(Settings { key, ..Settings::default() }).await;
        let forms = [old, new].map(|key_type| KeyForm { key_type, hash: None });
        let token = signing_token_for(&world.client, &world.vault, &world.key, &world.log_key, &forms).await;
        world.write_vault_token(&token);
        delete(&world).await;
        world.vault_call(Method::POST, &format!("transit/keys/{}", world.key), json!({"type": new})).await;
        let image = world.push_image().await;
        let answer = world.sign_image(&image).await;
        assert_eq!(answer.status, 201, "{old} {new}: {answer:?}");
        let key = self::key(&world).await;
        assert_eq!((&key["type"], &key["former"][0]["version"]), (&json!(new), &json!(1)));
        assert_eq!(answer.body["key"]["fingerprint"], key["versions"][0]["fingerprint"]);
        assert_eq!(world.signatures(&image).await, 1);
    }
}

#[tokio::test]
async fn automatic_rotation_is_published() {
    let world = attentive(KeyForm::default()).await;
    // The shortest that Vault takes.
    configure(&world, json!({"auto_rotate_period": "1h"})).await;
    until(&world, "the period", |key| key["auto_rotate_period"] == 3600).await;
}

#[tokio::test]
async fn one_pem_file_has_all_versions_newest_first() {
    let world = attentive(KeyForm::default()).await;
    world.rotate().await;
    world.rotate().await;
    until(&world, "three versions", |key| key["latest_version"] == 3).await;
    world.set_minimum(2).await;
    until(&world, "a minimum", |key| states(key)[0].1 == "retired").await;
    let file = world.get(&format!("/v1/keys/{}/public-keys", world.key)).await;
    assert_eq!(
        (file.status.as_u16(), &file.headers[CONTENT_TYPE]),
        (200, &"application/x-pem-file".parse().unwrap())
    );
    let each = [world.public_key(3).await, world.public_key(2).await, world.public_key(1).await];
    assert_eq!(file.body, json!(each.concat()));
    let nobody = world.get("/v1/keys/nobody/public-keys").await;
    world.assert_problem(&nobody, 404, "key-not-found");
}

#[tokio::test]
async fn the_well_known_file_changes_its_etag_with_the_keys_and_only_then() {
    let world = attentive(KeyForm::default()).await;
    let get = async |etag: Option<&str>| {
        let mut request = world.client.get(format!("{}{WELL_KNOWN}", world.signet.api));
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = request.send().await.unwrap();
        let etag = answer.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(answer.headers()[CACHE_CONTROL], "public, no-cache");
        (answer.status().as_u16(), etag, answer.bytes().await.unwrap())
    };
    let (status, etag, body) = get(None).await;
    assert_eq!(status, 200);
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() == 66, "{etag}");
    let list = world.get("/v1/keys").await.body;
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), list);

    let (status, same, body) = get(Some(&etag)).await;
    assert_eq!((status, same, body.len()), (304, etag.clone(), 0));
    let (status, ..) = get(Some("\"another\"")).await;
    assert_eq!(status, 200);
    world.rotate().await;
    until(&world, "the new version", |key| key["latest_version"] == 2).await;
    let (status, changed, _) = get(Some(&etag)).await;
    assert_eq!(status, 200);
    assert_ne!(changed, etag);
}

#[tokio::test]
async fn keys_are_told_while_vault_is_away() {
    let world = attentive(KeyForm::default()).await;
    let before = world.get("/v1/keys").await;
    world.vault_proxy.break_with(|_| Some(crate::support::Fault::status(503)));
    for path in ["/v1/keys", WELL_KNOWN] {
        let answer = world.get(path).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &before.body), "{path}");
    }
}
