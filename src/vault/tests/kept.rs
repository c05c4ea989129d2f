use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake_vault::{FakeVault, error, key_of, key_with_versions};
use super::{Setup, task, version};
use crate::domain::{Key, PublicKey, test_key_pair};
use crate::ports::{ArchivedVersion, Signer as _, SignerError};
use crate::vault::TransitSigner;

#[tokio::test]
async fn versions_that_vault_drops_stay_known_and_sign_no_more() {
    let vault = FakeVault::start().await;
    let pems: Vec<_> = (0..3).map(|_| test_key_pair().1).collect();
    let published = |from: u32| key_of((from..=3).map(|n| (n, &*pems[n as usize - 1])));
    vault.set_key(published(1));
    let setup = Setup::new(&vault);
    read(&setup.start()).await.unwrap();
    assert_eq!(setup.archive.numbers(), [1, 2, 3]);

    // Also by a Signet that has just started, and never saw them in Vault.
    vault.set_key(published(3));
    for signer in [setup.start(), setup.start()] {
        let key = read(&signer).await.unwrap();
        for number in 1..=3 {
            assert_eq!(key.versions[&version(number)].public_key.to_pem(), pems[number as usize - 1]);
            assert_eq!(key.can_sign_with(version(number)), number == 3, "{number}");
        }
        assert!(key.former.is_empty());
    }
    assert_eq!(setup.archive.numbers(), [1, 2, 3]);
}

#[tokio::test]
async fn an_archive_that_fails_stops_nothing_and_gets_later_what_it_missed() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    setup.archive.fails.store(true, Ordering::SeqCst);
    let signer = setup.start();
    assert_eq!(read(&signer).await.unwrap().versions.len(), 1);
    assert!(signer.sign(task("a")).await.is_ok());

    setup.archive.fails.store(false, Ordering::SeqCst);
    let name = "release".parse().unwrap();
    signer.key_anew(&name).await.unwrap();
    assert_eq!(setup.archive.numbers(), [1]);

    // What was read once needs the archive no more.
    setup.archive.fails.store(true, Ordering::SeqCst);
    vault.script(|call| call.path.contains("keys/").then(|| error(404, "")));
    let key = signer.key_anew(&name).await.unwrap();
    assert!(!key.in_vault && key.versions.contains_key(&version(1)));
}

#[tokio::test]
async fn what_another_replica_kept_is_read_when_versions_go() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signer = setup.start();
    read(&signer).await.unwrap();
    // Version 2 came and went while this Signet did not look.
    let (_, second) = test_key_pair();
    setup.archive.kept.lock().unwrap().push(archived(2, &second));
    vault.set_key(key_of([(3, super::PUBLIC_KEY)].into_iter()));
    let key = signer.key_anew(&"release".parse().unwrap()).await.unwrap();
    assert_eq!(key.versions.keys().map(|version| version.get()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_key_that_was_deleted_still_verifies_and_signs_nothing() {
    let vault = FakeVault::start().await;
    vault.set_key(key_with_versions(2));
    let setup = Setup::new(&vault);
    read(&setup.start()).await.unwrap();

    vault.script(|call| match call.is_sign() {
        true => Some(error(400, "signing key not found")),
        false => Some(error(404, "")),
    });
    let signer = setup.start();
    let key = read(&signer).await.unwrap();
    assert_eq!((key.in_vault, key.latest, key.versions.len()), (false, version(2), 2));
    let result = signer.sign(task("a")).await;
    assert!(matches!(result, Err(SignerError::NoSuchKey(_))), "{result:?}");
}

#[tokio::test]
async fn a_key_that_was_made_anew_has_its_old_versions_beside_the_new() {
    let vault = FakeVault::start().await;
    let (old, new): (Vec<_>, Vec<_>) = (0..2).map(|_| (test_key_pair().1, test_key_pair().1)).unzip();
    let numbered = |pems: &[String], from: u32| {
        let pairs = pems.iter().enumerate().map(|(index, pem)| (index as u32 + 1, &**pem));
        key_of(pairs.filter(|(number, _)| *number >= from))
    };
    let setup = Setup::new(&vault);
    vault.set_key(numbered(&old, 1));
    read(&setup.start()).await.unwrap();
    let fingerprints = |key: &Key| {
        let former =
            key.former.iter().map(|(version, published)| (version.get(), published.public_key.to_pem()));
        former.collect::<Vec<_>>()
    };

    // Made anew: its version 1 is another, and its version 2 is not there yet.
    vault.set_key(numbered(&new[..1], 1));
    let key = read(&setup.start()).await.unwrap();
    assert_eq!(key.versions[&version(1)].public_key.to_pem(), new[0]);
    assert_eq!(key.versions.len(), 1);
    assert_eq!(fingerprints(&key), [(1, old[0].clone()), (2, old[1].clone())]);
    assert!(!key.can_sign_with(version(2)));
    let found = key.with_fingerprint(PublicKey::from_pem(&old[1]).unwrap().fingerprint());
    assert_eq!(found.map(|(version, _)| version.get()), Some(2));

    // The new one is rotated, and its first version archived.
    vault.set_key(numbered(&new, 1));
    read(&setup.start()).await.unwrap();
    vault.set_key(numbered(&new, 2));
    let key = read(&setup.start()).await.unwrap();
    assert_eq!(key.versions[&version(1)].public_key.to_pem(), new[0], "the newest of this number");
    assert_eq!(key.versions[&version(2)].public_key.to_pem(), new[1]);
    assert_eq!(fingerprints(&key), [(1, old[0].clone()), (2, old[1].clone())]);
}

#[tokio::test]
async fn an_archive_that_hangs_holds_nobody_up_for_long() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    setup.archive.hangs.store(true, Ordering::SeqCst);
    let key = tokio::time::timeout(Duration::from_secs(10), read(&setup.start())).await;
    assert_eq!(key.unwrap().unwrap().versions.len(), 1);
}

async fn read(signer: &TransitSigner) -> Result<Arc<Key>, SignerError> {
    signer.key(&"release".parse().unwrap()).await
}

fn archived(number: u32, pem: &str) -> ArchivedVersion {
    ArchivedVersion {
        key: "release".parse().unwrap(),
        version: version(number),
        public_key: PublicKey::from_pem(pem).unwrap(),
        created_at: "2026-01-01T09:00:00Z".parse().unwrap(),
    }
}
