//! The keys' versions, and the cache that follows Vault.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize as _;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{CallError, Client};
use super::endpoints::{KeyAnswer, ReadKey, VersionAnswer};
use super::failure::{explain, unavailable};
use super::kept::Kept;
use super::notes::unfit;
use super::signer::StartError;
use crate::config::{KeyConfig, LogConfig, VaultConfig};
use crate::domain::{
    HashAlgorithm, Key, KeyName, KeyType, KeyVersion, PublicKey, PublishedVersion, Timestamp,
};
use crate::ports::{KeyArchive, SignerError};

/// One configured key: where it is in Vault, and what Vault last said about it.
///
/// What was read stays in force until Vault says something else; that Vault can not be asked
/// changes nothing.
pub(super) struct TransitKey {
    pub(super) name: KeyName,
    pub(super) vault_key: KeyName,
    pub(super) mount: String,
    /// None is SHA-256.
    hash: Option<HashAlgorithm>,
    /// Why Vault's key must not be used, where it must not.
    unfit: fn(&KeyAnswer) -> Option<&'static str>,
    known: ArcSwapOption<Key>,
    /// Reads that have begun. Counts up under the lock of `last` alone.
    begun: AtomicU64,
    /// The newest read that has ended, as a count of those begun.
    ended: AtomicU64,
    last: Mutex<Last>,
    /// When a caller last had Vault asked.
    asked: Mutex<Option<Instant>>,
}

/// What the newest read has brought.
struct Last {
    result: Option<Result<Arc<Key>, SignerError>>,
    kept: Kept,
}

/// Between two reads that callers can bring about.
const PACE: Duration = Duration::from_secs(1);

/// Every key of the configuration, by the name that callers use.
///
/// # Errors
/// Where two have one name, or an engine's path is none.
pub(super) fn configured(
    vault: &VaultConfig,
    keys: &[KeyConfig],
    archive: &Arc<dyn KeyArchive>,
) -> Result<BTreeMap<KeyName, Arc<TransitKey>>, StartError> {
    let mut configured = BTreeMap::new();
    for key in keys {
        let mount = match &key.mount {
            Some(path) => mount(path, || format!("keys.{}.mount", key.name))?,
            None => mount(&vault.mount, || "vault.mount".to_owned())?,
        };
        let vault_key = key.vault_key.clone().unwrap_or_else(|| key.name.clone());
        let transit = TransitKey::new(key.name.clone(), vault_key, mount, key.hash, |_| None, archive);
        if configured.insert(key.name.clone(), Arc::new(transit)).is_some() {
            return Err(StartError::DuplicateKey(key.name.clone()));
        }
    }
    Ok(configured)
}

/// The log's own key, which is none of those that callers use.
///
/// # Errors
/// Where the engine's path is none.
pub(super) fn of_log(
    vault: &VaultConfig,
    log: &LogConfig,
    archive: &Arc<dyn KeyArchive>,
) -> Result<Arc<TransitKey>, StartError> {
    let mount = match &log.checkpoint_mount {
        Some(path) => mount(path, || "log.checkpoint_mount".to_owned())?,
        None => mount(&vault.mount, || "vault.mount".to_owned())?,
    };
    let name = log.checkpoint_key.clone();
    Ok(Arc::new(TransitKey::new(name.clone(), name, mount, None, unfit, archive)))
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
                report(&key, &read, &mut told);
                tokio::time::sleep(period).await;
                read = key.read_anew(&client).await;
            }
        };
        shutdown.run_until_cancelled(polling).await;
    });
}

impl TransitKey {
    fn new(
        name: KeyName,
        vault_key: KeyName,
        mount: String,
        hash: Option<HashAlgorithm>,
        unfit: fn(&KeyAnswer) -> Option<&'static str>,
        archive: &Arc<dyn KeyArchive>,
    ) -> Self {
        let kept = Kept::new(name.clone(), Arc::clone(archive));
        Self {
            name,
            vault_key,
            mount,
            hash,
            unfit,
            known: ArcSwapOption::empty(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            last: Mutex::new(Last { result: None, kept }),
            asked: Mutex::new(None),
        }
    }

    /// What was last read. Asks nobody.
    pub(super) fn current(&self) -> Option<Arc<Key>> {
        self.known.load_full()
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

    /// As [`Self::read_anew`], for callers whose number nobody bounds: see [`crate::ports::Signer::key_anew`].
    pub(super) async fn read_for_caller(&self, client: &Client) -> Result<Arc<Key>, SignerError> {
        let wanted = self.begun.load(Ordering::Acquire) + 1;
        // Held while waiting and reading, so that those who come meanwhile share what comes next.
        let mut asked = self.asked.lock().await;
        if self.ended.load(Ordering::Acquire) < wanted {
            if let Some(before) = *asked {
                tokio::time::sleep_until(before + PACE).await;
            }
            *asked = Some(Instant::now());
        }
        self.read(client, wanted).await
    }

    /// The result of the read with the number `wanted` or a later one. Whoever gets the lock reads
    /// for all who wait behind, failures included: many who wait must not time out one after another.
    async fn read(&self, client: &Client, wanted: u64) -> Result<Arc<Key>, SignerError> {
        let mut last = self.last.lock().await;
        if self.ended.load(Ordering::Acquire) >= wanted
            && let Some(result) = &last.result
        {
            return result.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let result = match self.ask(client).await {
            Ok(published) => Ok(last.kept.complete(published).await),
            // Vault is there and says that the key is not: what was signed with it is still to be verified.
            Err(gone @ SignerError::NoSuchKey(_)) => {
                last.kept.alone(self.hash.unwrap_or_default()).await.ok_or(gone)
            }
            Err(error) => Err(error),
        };
        let result = result.map(Arc::new);
        match &result {
            Ok(key) => self.known.store(Some(Arc::clone(key))),
            Err(SignerError::NoSuchKey(_) | SignerError::Unfit { .. }) => self.known.store(None),
            Err(_) => {}
        }
        last.result = Some(result.clone());
        self.ended.store(number, Ordering::Release);
        result
    }

    async fn ask(&self, client: &Client) -> Result<Key, SignerError> {
        let endpoint = ReadKey { mount: self.mount.clone(), key: self.vault_key.clone() };
        match client.call("read_key", endpoint, None).await {
            Ok(reply) if let Some(reason) = (self.unfit)(&reply.data) => {
                Err(SignerError::Unfit { key: self.name.clone(), reason })
            }
            Ok(reply) => parse(&self.name, self.hash.unwrap_or_default(), &reply.data)
                .map_err(|reason| unavailable(format!("what Vault says of key `{}`: {reason}", self.name))),
            Err(CallError::Status { status: StatusCode::NOT_FOUND, .. }) => {
                Err(SignerError::NoSuchKey(self.name.clone()))
            }
            Err(failure) => Err(explain(client, failure).await),
        }
    }
}

fn parse(name: &KeyName, hash: HashAlgorithm, answer: &KeyAnswer) -> Result<Key, String> {
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
            let published =
                published(&key_type, version).map_err(|reason| format!("version {number}: {reason}"))?;
            versions.insert(KeyVersion::new(number).ok_or("it has a version 0")?, published);
        }
    }
    let period = Duration::from_secs(answer.auto_rotate_period);
    Ok(Key {
        name: name.clone(),
        key_type,
        hash,
        latest,
        minimum,
        in_vault: true,
        auto_rotate_period: Some(period).filter(|period| !period.is_zero()),
        versions,
        former: Vec::new(),
    })
}

fn published(key_type: &KeyType, version: &serde_json::Value) -> Result<PublishedVersion, String> {
    let version = VersionAnswer::deserialize(version).map_err(|_| "its public key or date is missing")?;
    if version.public_key.is_empty() {
        return Err("it has no public key, as keys that others are derived from".to_owned());
    }
    let public_key = match key_type {
        KeyType::Ed25519 => ed25519(&version.public_key)?,
        _ => PublicKey::from_pem(&version.public_key).map_err(|error| error.to_string())?,
    };
    if public_key.key_type() != key_type {
        return Err(format!(
            "its public key is of type {}, and the key of type {key_type}",
            public_key.key_type()
        ));
    }
    let created_at: Timestamp =
        version.creation_time.parse().map_err(|_| "its date is not written as in RFC 3339")?;
    Ok(PublishedVersion { public_key, created_at })
}

fn ed25519(base64: &str) -> Result<PublicKey, String> {
    let bytes = STANDARD.decode(base64).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.ok_or("its public key is not base64 of 32 bytes")?;
    PublicKey::from_ed25519(&bytes).map_err(|error| error.to_string())
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

/// What an operator is told of a read.
#[derive(PartialEq, Eq)]
enum News {
    Read { version: KeyVersion, key_type: KeyType },
    Gone,
    Failed(String),
}

/// Tells the operator what has changed since the last read, and nothing while nothing does.
fn report(key: &TransitKey, read: &Result<Arc<Key>, SignerError>, told: &mut Option<News>) {
    let news = match read {
        Ok(known) if known.in_vault => News::Read { version: known.latest, key_type: known.key_type.clone() },
        Ok(_) => News::Gone,
        Err(error) => News::Failed(error.to_string()),
    };
    if told.as_ref() == Some(&news) {
        return;
    }
    let name = &key.name;
    match &news {
        News::Read { version, key_type } => {
            tracing::info!(key = %name, %version, %key_type, "the key was read from Vault");
            if let (KeyType::Ed25519, Some(hash)) = (key_type, key.hash) {
                tracing::warn!(key = %name, %hash, "the key is of type ed25519, so that its setting `hash` counts for nothing");
            }
        }
        News::Gone => {
            tracing::warn!(key = %name, "Vault has the key no more; what it signed still verifies");
        }
        News::Failed(error) => tracing::warn!(key = %name, %error, "the key can not be read from Vault"),
    }
    *told = Some(news);
}
