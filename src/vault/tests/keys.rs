use std::time::Duration;

use serde_json::json;

use super::fake_vault::{FakeVault, data, error, key_of, key_with_versions};
use super::{Setup, key, task, task_with, until, version};
use crate::domain::{HashAlgorithm, KeyType};
use crate::ports::{Signer as _, SignerError};

#[tokio::test]
async fn a_key_is_read_once_for_all_who_ask() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signer = setup.start();
    let name = "release".parse().unwrap();
    let keys = futures::future::join_all((0..20).map(|_| signer.key(&name))).await;

    let key = keys[0].as_ref().unwrap();
    assert_eq!((key.latest, key.minimum), (version(1), version(1)));
    assert_eq!(key.versions[&version(1)].created_at.to_string(), "2026-01-01T09:00:00.123456789Z");
    assert!(keys.iter().all(|other| other.as_ref().unwrap() == key));
    assert_eq!(vault.count("transit/keys/release"), 1);
}

#[tokio::test]
async fn a_name_that_is_not_configured_is_unknown_without_asking() {
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    setup.keys = vec![key("b"), key("a")];
    let signer = setup.start();
    assert_eq!(signer.names().iter().map(ToString::to_string).collect::<Vec<_>>(), ["a", "b"]);
    let name = "release".parse().unwrap();
    assert!(matches!(signer.key(&name).await, Err(SignerError::UnknownKey(_))));
    assert!(matches!(signer.sign(task("a")).await, Err(SignerError::UnknownKey(_))));
    assert_eq!(vault.count("release"), 0);
}

#[tokio::test]
async fn mount_and_name_may_be_others_in_vault() {
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    setup.vault.namespace = Some("org/team".to_owned());
    setup.keys[0].mount = Some("/team/transit/".to_owned());
    setup.keys[0].vault_key = Some("release-2026".parse().unwrap());
    setup.start().sign(task("a")).await.unwrap();

    let [call] = &vault.signing_calls()[..] else { panic!("not one call") };
    assert_eq!(call.path, "team/transit/sign/release-2026/sha2-256");
    assert_eq!(call.header("x-vault-namespace"), Some("org/team"));
}

#[tokio::test]
async fn a_rotation_is_noticed_by_polling() {
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    setup.vault.key_poll = Duration::from_millis(1);
    let signer = setup.start();
    let name = "release".parse().unwrap();
    assert_eq!(signer.key(&name).await.unwrap().latest, version(1));

    vault.set_key(key_with_versions(2));
    let noticed = async {
        while signer.key(&name).await.unwrap().latest != version(2) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noticed).await.unwrap();
}

#[tokio::test]
async fn polling_ends_with_the_service() {
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    setup.vault.key_poll = Duration::from_millis(1);
    let signer = setup.start();
    until(|| vault.count("keys/") > 2).await;
    setup.shutdown.cancel();
    until(|| std::sync::Arc::strong_count(&signer.keys[&"release".parse().unwrap()]) == 1).await;
}

#[tokio::test]
async fn what_was_read_stays_in_force_while_vault_is_down() {
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    setup.vault.key_poll = Duration::from_millis(1);
    let signer = setup.start();
    let name = "release".parse().unwrap();
    signer.key(&name).await.unwrap();

    vault.script(|_| Some(error(502, "")));
    let before = vault.count("keys/");
    until(|| vault.count("keys/") > before + 3).await;
    assert_eq!(signer.key(&name).await.unwrap().latest, version(1));

    vault.script(|call| call.path.contains("keys/").then(|| error(404, "")));
    let before = vault.count("keys/");
    until(|| vault.count("keys/") > before + 3).await;
    let gone = signer.key(&name).await.unwrap();
    assert!(!gone.in_vault && !gone.can_sign_with(version(1)), "Vault says that it is gone");
    assert!(gone.versions.contains_key(&version(1)), "what it signed is still to be verified");
}

#[tokio::test]
async fn vault_may_come_up_after_the_service() {
    let vault = FakeVault::start().await;
    vault.script(|_| Some(error(502, "")));
    let setup = Setup::new(&vault);
    let signer = setup.start();
    let name = "release".parse().unwrap();
    assert!(matches!(signer.key(&name).await, Err(SignerError::Unavailable { .. })));
    vault.script(|_| None);
    assert!(signer.key(&name).await.is_ok());
}

#[tokio::test]
async fn the_strictest_minimum_counts() {
    for field in ["min_decryption_version", "min_encryption_version", "min_available_version"] {
        let vault = FakeVault::start().await;
        let mut key = key_with_versions(3);
        key[field] = json!(2);
        vault.set_key(key);
        let signer = Setup::new(&vault).start();
        let key = signer.key(&"release".parse().unwrap()).await.unwrap();
        assert_eq!((key.minimum, key.latest), (version(2), version(3)), "{field}");
    }
}

#[tokio::test]
async fn keys_of_other_types_are_named_and_have_no_versions() {
    let vault = FakeVault::start().await;
    vault.set_key(json!({"type": "aes256-gcm96", "latest_version": 1, "keys": {"1": 1_700_000_000}}));
    let signer = Setup::new(&vault).start();
    let key = signer.key(&"release".parse().unwrap()).await.unwrap();
    assert_eq!(key.key_type, KeyType::Unsupported("aes256-gcm96".to_owned()));
    assert!(key.versions.is_empty());
}

#[tokio::test]
async fn ed25519_keys_are_read_from_their_bare_bytes() {
    let vault = FakeVault::start().await;
    let version =
        |public_key: &str| json!({"1": {"public_key": public_key, "creation_time": "2026-01-01T10:00:00Z"}});
    let key = |public_key: &str| json!({"type": "ed25519", "latest_version": 1, "keys": version(public_key)});
    vault.set_key(key("GptzPgEwc2P9+fonpB6xfx5V6WrSJWnPXT2F9IoOvNA="));
    let signer = Setup::new(&vault).start();
    let name = "release".parse().unwrap();
    let read = signer.key(&name).await.unwrap();
    assert_eq!(read.key_type, KeyType::Ed25519);
    let pem = read.versions[&super::version(1)].public_key.to_pem();
    assert_eq!(
        pem,
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGptzPgEwc2P9+fonpB6xfx5V6WrSJWnPXT2F9IoOvNA=\n-----END PUBLIC KEY-----\n"
    );

    for (public_key, complaint) in [
        ("", "derived"),
        ("GptzPgEwc2P9", "base64 of 32 bytes"),
        (super::fake_vault::PUBLIC_KEY, "base64 of 32 bytes"),
    ] {
        vault.set_key(key(public_key));
        let error = Setup::new(&vault).start().key(&name).await.unwrap_err().to_string();
        assert!(error.contains(complaint), "{public_key}: {error}");
    }
}

#[tokio::test]
async fn a_public_key_of_another_type_than_the_keys_is_not_taken() {
    let vault = FakeVault::start().await;
    let mut key = key_with_versions(1);
    key["type"] = json!("ecdsa-p384");
    vault.set_key(key);
    let error = Setup::new(&vault).start().key(&"release".parse().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("ecdsa-p256") && error.contains("ecdsa-p384"), "{error}");
}

#[tokio::test]
async fn the_configured_hash_is_the_keys() {
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    setup.keys[0].hash = Some(HashAlgorithm::Sha384);
    let key = setup.start().key(&"release".parse().unwrap()).await.unwrap();
    assert_eq!(key.hash, HashAlgorithm::Sha384);
}

#[tokio::test]
async fn automatic_rotation_is_known() {
    let vault = FakeVault::start().await;
    let name = "release".parse().unwrap();
    for (seconds, period) in [(0, None), (3600, Some(Duration::from_secs(3600)))] {
        let mut key = key_with_versions(1);
        key["auto_rotate_period"] = json!(seconds);
        vault.set_key(key);
        assert_eq!(Setup::new(&vault).start().key(&name).await.unwrap().auto_rotate_period, period);
    }
}

#[tokio::test]
async fn however_many_callers_want_the_key_anew_vault_is_asked_about_once_a_second() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signer = setup.start();
    let name = "release".parse().unwrap();
    signer.key(&name).await.unwrap();
    let before = vault.count("keys/");
    let begun = tokio::time::Instant::now();

    vault.set_key(key_with_versions(2));
    assert_eq!(signer.key_anew(&name).await.unwrap().latest, version(2), "the first waits for nobody");
    assert!(begun.elapsed() < Duration::from_millis(900));
    vault.set_key(key_with_versions(3));
    let all = futures::future::join_all((0..50).map(|_| signer.key_anew(&name))).await;
    assert!(all.iter().all(|key| key.as_ref().unwrap().latest == version(3)), "no answer is an old one");
    assert_eq!(vault.count("keys/"), before + 2);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(signer.key(&name).await.unwrap().latest, version(3), "what was learned is kept");
}

#[tokio::test]
async fn a_key_that_was_made_anew_signs_nothing_that_was_asked_of_the_old_one() {
    let vault = FakeVault::start().await;
    let signer = Setup::new(&vault).start();
    let name = "release".parse().unwrap();
    let (_, other) = crate::domain::test_key_pair();
    vault.set_key(key_of([(1, &*other)].into_iter()));
    // The task names the fingerprint of the key before.
    signer.key(&name).await.unwrap();
    let result = signer.sign(task("a")).await;
    assert!(
        matches!(&result, Err(SignerError::VersionUnavailable { reason, .. }) if reason.contains("made anew")),
        "{result:?}"
    );
    assert!(vault.signing_calls().is_empty());

    // As above, where it shows only in the signature.
    vault.set_key(key_with_versions(1));
    let signer = Setup::new(&vault).start();
    signer.key(&name).await.unwrap();
    vault.set_key(key_of([(1, &*other)].into_iter()));
    let result = signer.sign(task("a")).await;
    assert!(matches!(result, Err(SignerError::VersionUnavailable { .. })), "{result:?}");
    assert_eq!(vault.signing_calls().len(), 1);

    // As above, where it shows only in Vault's refusal.
    vault.set_key(key_with_versions(1));
    let signer = Setup::new(&vault).start();
    signer.key(&name).await.unwrap();
    vault.set_key(key_of([(1, &*other)].into_iter()));
    vault.script(|call| call.is_sign().then(|| error(400, "only Pure Ed25519 signatures supported")));
    let result = signer.sign(task("a")).await;
    assert!(matches!(result, Err(SignerError::VersionUnavailable { .. })), "{result:?}");
}

#[tokio::test]
async fn a_version_that_vault_can_not_sign_with_is_told_from_a_broken_vault() {
    // Vault answers per item, or with 400 or 500 for the whole call; what counts is what it says of the key.
    for status in [200, 400, 500] {
        let vault = FakeVault::start().await;
        vault.script(move |call| {
            let item = json!({"error": "no such version", "reference": "0", "key_version": 0});
            call.is_sign().then(|| match status {
                200 => data(&json!({"batch_results": [item]})),
                _ => error(status, "requested version is odd"),
            })
        });
        let setup = Setup::new(&vault);
        let signer = setup.start();
        signer.key(&"release".parse().unwrap()).await.unwrap();

        let result = signer.sign(task_with("a", 2)).await;
        assert!(matches!(result, Err(SignerError::VersionUnavailable { .. })), "{status}: {result:?}");
        let result = signer.sign(task_with("a", 1)).await;
        assert!(matches!(result, Err(SignerError::Unavailable { .. })), "{status}: {result:?}");

        let mut key = key_with_versions(2);
        key["min_decryption_version"] = json!(2);
        vault.set_key(key);
        let result = signer.sign(task_with("a", 1)).await;
        assert!(matches!(result, Err(SignerError::VersionUnavailable { .. })), "{status}: {result:?}");
        let known = signer.key(&"release".parse().unwrap()).await.unwrap();
        assert_eq!(known.latest, version(2), "what was learned is kept");
    }
}

#[tokio::test]
async fn a_key_that_is_gone_is_told_from_a_broken_vault() {
    let vault = FakeVault::start().await;
    vault.script(|call| match call.is_sign() {
        true => Some(error(400, "signing key not found")),
        false => Some(error(404, "")),
    });
    let result = Setup::new(&vault).start().sign(task("a")).await;
    assert!(matches!(result, Err(SignerError::NoSuchKey(_))), "{result:?}");
}
