//! Public keys that outlive what Vault publishes.

use std::sync::Arc;

use async_trait::async_trait;

use super::GroupCommitLog;
use crate::domain::{Clock, Entry, Event, KeyName};
use crate::ports::{ArchivedVersion, KeyArchive, LogError, SharedLocks, Writes};

#[async_trait]
impl KeyArchive for GroupCommitLog {
    async fn keep(&self, versions: Vec<ArchivedVersion>) -> Result<(), LogError> {
        self.write(Writes { archived: versions, ..Writes::default() }).await.map(drop)
    }

    async fn versions(&self, key: &KeyName) -> Result<Vec<ArchivedVersion>, LogError> {
        let key = key.clone();
        self.read(&self.lookups, move |reader| reader.archived(&key)).await
    }
}

/// As the log's own archive, and each version that is kept for the first time is an entry of the log, in the same commit.
pub struct LoggedKeys {
    pub log: Arc<GroupCommitLog>,
    pub locks: Arc<dyn SharedLocks>,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl KeyArchive for LoggedKeys {
    /// # Errors
    /// Also where another replica is just keeping something: it may be the same, and then it is there next time.
    async fn keep(&self, versions: Vec<ArchivedVersion>) -> Result<(), LogError> {
        let busy = || LogError("another replica is just keeping public keys".to_owned());
        let _lock = self.locks.lock_work("public keys").await?.ok_or_else(busy)?;
        let (mut new, mut entries) = (Vec::new(), Vec::new());
        for version in versions {
            let kept = self.log.versions(&version.key).await?;
            let is_kept = |kept: &ArchivedVersion| {
                kept.version == version.version && kept.public_key == version.public_key
            };
            if kept.iter().any(is_kept) {
                continue;
            }
            let event = Event::KeyVersion {
                key: version.key.clone(),
                key_version: version.version,
                fingerprint: version.public_key.fingerprint(),
                created_at: version.created_at,
            };
            entries.push(Entry::of_service(self.clock.now(), event));
            new.push(version);
        }
        self.log.write_entries(entries, Writes { archived: new, ..Writes::default() }).await
    }

    async fn versions(&self, key: &KeyName) -> Result<Vec<ArchivedVersion>, LogError> {
        self.log.versions(key).await
    }
}
