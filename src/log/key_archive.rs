//! Public keys that outlive what Vault publishes.

use async_trait::async_trait;

use super::GroupCommitLog;
use crate::domain::KeyName;
use crate::ports::{ArchivedVersion, KeyArchive, LogError, Writes};

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
