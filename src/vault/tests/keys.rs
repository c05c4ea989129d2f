use std::time::Duration;

use serde_json::json;

use super::fake_vault::{FakeVault, data, error, key_with_versions};
use super::{Setup, key, task, task_with, until, version};
use crate::domain::KeyType;
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
    assert!(matches!(signer.key(&name).await, Err(SignerError::NoSuchKey(_))), "Vault says that it is gone");
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
