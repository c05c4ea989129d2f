//! Keeps no public keys, until the store does.

use async_trait::async_trait;

use super::GroupCommitLog;
use crate::domain::KeyName;
use crate::ports::{ArchivedVersion, KeyArchive, LogError};

#[async_trait]
impl KeyArchive for GroupCommitLog {
    async fn keep(&self, _: Vec<ArchivedVersion>) -> Result<(), LogError> {
        Ok(())
    }

    async fn versions(&self, _: &KeyName) -> Result<Vec<ArchivedVersion>, LogError> {
        Ok(Vec::new())
    }
}
