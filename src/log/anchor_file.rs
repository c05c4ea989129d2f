//! The log's newest checkpoint in a file.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::durable_file;
use crate::ports::{Anchor, AnchorError, Anchored};

/// Keeps a checkpoint in a file of one process's own, which is replaced as a whole: neither a crash nor a full disk leaves
/// half of it.
pub struct FileAnchor {
    path: PathBuf,
}

impl FileAnchor {
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, AnchorError> {
        let path = self.path.clone();
        let name = path.display().to_string();
        let done = tokio::task::spawn_blocking(move || work(&path)).await;
        let failed = |error: String| AnchorError::Unavailable(format!("{name}: {error}"));
        done.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

#[async_trait]
impl Anchor for FileAnchor {
    /// The version is always 1: nobody else writes.
    async fn read(&self) -> Result<Option<Anchored>, AnchorError> {
        let read = |path: &Path| match std::fs::read_to_string(path) {
            Ok(note) => Ok(Some(Anchored { note, version: 1 })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        self.on_a_thread(read).await
    }

    async fn replace(&self, _: u64, note: &str) -> Result<u64, AnchorError> {
        let note = note.to_owned();
        let write = move |path: &Path| durable_file::replace(path, note.as_bytes());
        self.on_a_thread(write).await.map(|()| 1)
    }
}
