//! The keys' versions, and the cache that follows Vault.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::StatusCode;
use serde::Deserialize as _;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::client::{CallError, Client};
use super::endpoints::{KeyAnswer, ReadKey, VersionAnswer};
use super::failure::{explain, unavailable};
use super::signer::StartError;
use crate::config::{KeyConfig, VaultConfig};
use crate::domain::{
    HashAlgorithm, Key, KeyName, KeyType, KeyVersion, PublicKey, PublishedVersion, Timestamp,
};
use crate::ports::SignerError;

/// One configured key: where it is in Vault, and what Vault last said about it.
///
/// What was read stays in force until Vault says something else; that Vault can not be asked
/// changes nothing.
pub(super) struct TransitKey {
    pub(super) name: KeyName,
    pub(super) vault_key: KeyName,
    pub(super) mount: String,
    known: ArcSwapOption<Key>,
    /// Reads that have begun. Counts up under the lock of `last` alone.
    begun: AtomicU64,
    /// The newest read that has ended, as a count of those begun.
    ended: AtomicU64,
    last: Mutex<Option<Result<Arc<Key>, SignerError>>>,
}

/// Every key of the configuration, by the name that callers use.
///
/// # Errors
/// Where two have one name, or an engine's path is none.
pub(super) fn configured(
    vault: &VaultConfig,
    keys: &[KeyConfig],
) -> Result<BTreeMap<KeyName, Arc<TransitKey>>, StartError> {
    let mut configured = BTreeMap::new();
    for key in keys {
        let mount = match &key.mount {
            Some(path) => mount(path, || format!("keys.{}.mount", key.name))?,
            None => mount(&vault.mount, || "vault.mount".to_owned())?,
        };
        let vault_key = key.vault_key.clone().unwrap_or_else(|| key.name.clone());
        let transit = Arc::new(TransitKey::new(key.name.clone(), vault_key, mount));
        if configured.insert(key.name.clone(), transit).is_some() {
            return Err(StartError::DuplicateKey(key.name.clone()));
        }
    }
    Ok(configured)
}

/// Reads `key` now and every `period`, until `shutdown`.
pub(super) fn follow(
    key: Arc<TransitKey>,
    client: Arc<Client>,
    period: Duration,
    shutdown: CancellationToken,
) {
    tokio::spawn(async move {
        let polling = async {
            let mut told = None;
            // The first read is also that of callers who came before it.
            let mut read = key.known(&client).await;
            loop {
                report(&key.name, &read, &mut told);
                tokio::time::sleep(period).await;
                read = key.read_anew(&client).await;
            }
        };
        shutdown.run_until_cancelled(polling).await;
    });
}

impl TransitKey {
    fn new(name: KeyName, vault_key: KeyName, mount: String) -> Self {
        Self {
            name,
            vault_key,
            mount,
            known: ArcSwapOption::empty(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }

    /// What is known of the key. Asks Vault only where nothing is known, and then once for all who wait.
    pub(super) async fn known(&self, client: &Client) -> Result<Arc<Key>, SignerError> {
        // Counted before looking, so that a read which ends in between is good enough.
        let ended = self.ended.load(Ordering::Acquire);
        match self.known.load_full() {
            Some(key) => Ok(key),
            None => self.read(client, ended + 1).await,
        }
    }

    /// What Vault says of the key from now on: a read that had begun before does not count.
    pub(super) async fn read_anew(&self, client: &Client) -> Result<Arc<Key>, SignerError> {
        self.read(client, self.begun.load(Ordering::Acquire) + 1).await
    }

    /// The result of the read with the number `wanted` or a later one. Whoever gets the lock reads
    /// for all who wait behind, failures included: many who wait must not time out one after another.
    async fn read(&self, client: &Client, wanted: u64) -> Result<Arc<Key>, SignerError> {
        let mut last = self.last.lock().await;
        if self.ended.load(Ordering::Acquire) >= wanted
            && let Some(result) = &*last
        {
            return result.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let result = self.ask(client).await.map(Arc::new);
        match &result {
            Ok(key) => self.known.store(Some(Arc::clone(key))),
            // Vault is there and says that the key is not: that is no reason to go on as before.
            Err(SignerError::NoSuchKey(_)) => self.known.store(None),
            Err(_) => {}
        }
        *last = Some(result.clone());
        self.ended.store(number, Ordering::Release);
        result
    }

    async fn ask(&self, client: &Client) -> Result<Key, SignerError> {
        let endpoint = ReadKey { mount: self.mount.clone(), key: self.vault_key.clone() };
        match client.call("read_key", endpoint, None).await {
            Ok(reply) => parse(&self.name, &reply.data)
                .map_err(|reason| unavailable(format!("what Vault says of key `{}`: {reason}", self.name))),
            Err(CallError::Status { status: StatusCode::NOT_FOUND, .. }) => {
                Err(SignerError::NoSuchKey(self.name.clone()))
            }
            Err(failure) => Err(explain(client, failure).await),
        }
    }
}

fn parse(name: &KeyName, answer: &KeyAnswer) -> Result<Key, String> {
    let latest = KeyVersion::new(answer.latest_version).ok_or("it has no version")?;
    // Each of the three bounds what can be used; 0 means that it does not.
    let minimum = answer
        .min_decryption_version
        .max(answer.min_encryption_version)
        .max(answer.min_available_version)
        .max(1);
    let minimum = KeyVersion::new(minimum).ok_or("it has no minimum")?;
    let key_type = KeyType::from(answer.key_type.as_str());
    let mut versions = BTreeMap::new();
    if !matches!(key_type, KeyType::Unsupported(_)) {
        for (&number, version) in &answer.keys {
            let published = published(version).map_err(|reason| format!("version {number}: {reason}"))?;
            versions.insert(KeyVersion::new(number).ok_or("it has a version 0")?, published);
        }
    }
    Ok(Key { name: name.clone(), key_type, hash: HashAlgorithm::Sha256, latest, minimum, versions })
}

fn published(version: &serde_json::Value) -> Result<PublishedVersion, String> {
    let version = VersionAnswer::deserialize(version).map_err(|_| "its public key or date is missing")?;
    let public_key = PublicKey::from_pem(&version.public_key).map_err(|error| error.to_string())?;
    let created_at: Timestamp =
        version.creation_time.parse().map_err(|_| "its date is not written as in RFC 3339")?;
    Ok(PublishedVersion { public_key, created_at })
}

/// The path of an engine, without slashes around it.
fn mount(path: &str, setting: impl FnOnce() -> String) -> Result<String, StartError> {
    let trimmed = path.trim_matches('/');
    let fits = trimmed.split('/').all(|segment| {
        !matches!(segment, "" | "." | "..") && segment.chars().all(|c| !c.is_control() && c != '\\')
    });
    match fits {
        true => Ok(trimmed.to_owned()),
        false => Err(StartError::Mount { setting: setting(), mount: path.to_owned() }),
    }
}

/// Tells the operator what has changed since the last read, and nothing while nothing does.
fn report(
    name: &KeyName,
    read: &Result<Arc<Key>, SignerError>,
    told: &mut Option<Result<KeyVersion, String>>,
) {
    let news = read.as_ref().map(|key| key.latest).map_err(ToString::to_string);
    if told.as_ref() == Some(&news) {
        return;
    }
    match &news {
        Ok(latest) => tracing::info!(key = %name, version = %latest, "the key was read from Vault"),
        Err(error) => tracing::warn!(key = %name, %error, "the key can not be read from Vault"),
    }
    *told = Some(news);
}
