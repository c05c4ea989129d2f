//! The versions that Vault publishes no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{HashAlgorithm, Key, KeyName, KeyVersion, PublishedVersion};
use crate::ports::{ArchivedVersion, KeyArchive, LogError};

/// What the archive has of one key, and what it still has to be given.
///
/// The archive may fail: then the key is what Vault publishes, with what was read from the archive before, and the
/// next read of the key tries again.
pub(super) struct Kept {
    name: KeyName,
    archive: Arc<dyn KeyArchive>,
    /// By version, and of one version the newest last. None until the archive was read.
    versions: Option<Vec<ArchivedVersion>>,
    /// The first version that Vault published when the archive was read.
    first: Option<KeyVersion>,
    failing: bool,
}

/// The key is read while callers wait, and Vault's answer is all that signing needs.
const PATIENCE: Duration = Duration::from_secs(2);

impl Kept {
    pub(super) const fn new(name: KeyName, archive: Arc<dyn KeyArchive>) -> Self {
        Self { name, archive, versions: None, first: None, failing: false }
    }

    /// `key`, which Vault has just published, with the versions that it publishes no more. Those that are new are
    /// kept first.
    pub(super) async fn complete(&mut self, mut key: Key) -> Key {
        let first = key.versions.keys().next().copied();
        if self.first < first {
            // Versions have gone from Vault. Another replica may have kept some that this one has never seen.
            self.versions = None;
        }
        match self.read_and_keep(&key).await {
            Ok(()) => self.first = first,
            Err(error) => self.complain(&error),
        }
        let published = key.versions.clone();
        for kept in self.versions.iter().flatten() {
            if published.get(&kept.version).is_some_and(|version| version.public_key == kept.public_key) {
                continue;
            }
            let version = PublishedVersion::from(kept.clone());
            if kept.version >= key.minimum || published.contains_key(&kept.version) {
                // Vault signs with this number, and it is not this key pair that it signs with.
                key.former.push((kept.version, version));
            } else if let Some(older) = key.versions.insert(kept.version, version) {
                key.former.push((kept.version, older));
            }
        }
        key
    }

    /// The key where Vault says that it has none; none where nothing was kept of it.
    pub(super) async fn alone(&mut self, hash: HashAlgorithm) -> Option<Key> {
        if self.versions.is_none()
            && let Err(error) = self.read().await
        {
            self.complain(&error);
        }
        let (mut versions, mut former) = (BTreeMap::new(), Vec::new());
        for kept in self.versions.iter().flatten() {
            if let Some(older) = versions.insert(kept.version, PublishedVersion::from(kept.clone())) {
                former.push((kept.version, older));
            }
        }
        let (&latest, newest) = versions.last_key_value()?;
        Some(Key {
            name: self.name.clone(),
            key_type: newest.public_key.key_type().clone(),
            hash,
            latest,
            minimum: latest,
            in_vault: false,
            auto_rotate_period: None,
            versions,
            former,
        })
    }

    async fn read_and_keep(&mut self, key: &Key) -> Result<(), LogError> {
        if self.versions.is_none() {
            self.read().await?;
        }
        let known = self.versions.get_or_insert_default();
        let is_known = |version: &ArchivedVersion| {
            known.iter().any(|kept| kept.version == version.version && kept.public_key == version.public_key)
        };
        let published = key.versions.iter().map(|(version, published)| ArchivedVersion {
            key: key.name.clone(),
            version: *version,
            public_key: published.public_key.clone(),
            created_at: published.created_at,
        });
        let new: Vec<_> = published.filter(|version| !is_known(version)).collect();
        if !new.is_empty() {
            in_time(self.archive.keep(new.clone())).await?;
            known.extend(new);
        }
        self.failing = false;
        Ok(())
    }

    async fn read(&mut self) -> Result<(), LogError> {
        self.versions = Some(in_time(self.archive.versions(&self.name)).await?);
        Ok(())
    }

    fn complain(&mut self, error: &LogError) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(key = %self.name, %error, "public keys can not be kept, so that those that Vault drops are lost");
        }
    }
}

impl From<ArchivedVersion> for PublishedVersion {
    fn from(kept: ArchivedVersion) -> Self {
        Self { public_key: kept.public_key, created_at: kept.created_at }
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
    let late = |_| LogError(format!("it did not answer within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, answer).await.map_err(late)?
}
