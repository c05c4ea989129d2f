//! Kept public keys in memory, which can be told to fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::domain::KeyName;
use crate::ports::{ArchivedVersion, KeyArchive, LogError};

#[derive(Default)]
pub(super) struct FakeArchive {
    pub(super) kept: Mutex<Vec<ArchivedVersion>>,
    pub(super) fails: AtomicBool,
    pub(super) hangs: AtomicBool,
}

impl FakeArchive {
    /// The numbers of what is kept, in its order.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.kept.lock().unwrap().iter().map(|kept| kept.version.get()).collect()
    }

    async fn check(&self) -> Result<(), LogError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        match self.fails.load(Ordering::SeqCst) {
            true => Err(LogError("the disk is full".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl KeyArchive for FakeArchive {
    async fn keep(&self, versions: Vec<ArchivedVersion>) -> Result<(), LogError> {
        self.check().await?;
        let mut kept = self.kept.lock().unwrap();
        let new: Vec<_> = versions.into_iter().filter(|version| !kept.contains(version)).collect();
        kept.extend(new);
        // Stable: of one version the newest stays last.
        kept.sort_by_key(|kept| kept.version);
        Ok(())
    }

    async fn versions(&self, key: &KeyName) -> Result<Vec<ArchivedVersion>, LogError> {
        self.check().await?;
        let kept = self.kept.lock().unwrap();
        Ok(kept.iter().filter(|version| version.key == *key).cloned().collect())
    }
}
