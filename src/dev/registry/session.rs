//! Upload sessions: bytes that arrive in chunks, hashed on their way to a file.
//!
//! Sessions live as long as the process. Memory does not grow with the size of an upload.

use std::collections::HashMap;
use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use super::error::Error;
use super::names::{Digest, RepositoryName};

/// The unfinished uploads of this process.
#[derive(Default)]
pub(super) struct Sessions {
    open: Mutex<HashMap<Uuid, (RepositoryName, Shared)>>,
}

/// One upload; the lock orders its chunks.
type Shared = Arc<tokio::sync::Mutex<Session>>;

impl Sessions {
    pub(super) fn start(&self, id: Uuid, repository: RepositoryName, file: PathBuf) -> Shared {
        let session = Session { file, hash: Sha256::new(), received: 0, finished: false };
        let shared = Arc::new(tokio::sync::Mutex::new(session));
        self.lock().insert(id, (repository, shared.clone()));
        shared
    }

    /// # Errors
    ///
    /// [`Error::UploadUnknown`] also when the upload belongs to another repository.
    pub(super) fn find(&self, id: Uuid, repository: &RepositoryName) -> Result<Shared, Error> {
        match self.lock().get(&id) {
            Some((owner, session)) if owner == repository => Ok(session.clone()),
            _ => Err(Error::UploadUnknown),
        }
    }

    pub(super) fn forget(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    /// The map is whole after any panic, since each change to it is one call.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, (RepositoryName, Shared)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One upload. `received` bytes of the file are hashed and count; whatever lies behind them is overwritten.
pub(super) struct Session {
    file: PathBuf,
    hash: Sha256,
    received: u64,
    finished: bool,
}

impl Session {
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Appends the whole of `body`.
    ///
    /// # Errors
    ///
    /// [`Error::UploadInterrupted`] when the body ends early: what came until then is kept, and the client may go on behind it.
    pub(super) async fn append(&mut self, body: Body) -> Result<(), Error> {
        if self.finished {
            return Err(Error::UploadUnknown);
        }
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.file).await?;
        file.seek(SeekFrom::Start(self.received)).await?;
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Error::UploadInterrupted)?;
            file.write_all(&chunk).await?;
            file.flush().await?;
            self.hash.update(&chunk);
            self.received += chunk.len() as u64;
        }
        Ok(())
    }

    /// Ends the session and gives the file that holds the upload, for the caller to move.
    ///
    /// # Errors
    ///
    /// [`Error::DigestInvalid`] when the bytes are others than `expected` says; then the file is gone.
    pub(super) async fn finish(&mut self, expected: &Digest) -> Result<PathBuf, Error> {
        if std::mem::replace(&mut self.finished, true) {
            return Err(Error::UploadUnknown);
        }
        let hash = std::mem::take(&mut self.hash).finalize();
        if Digest::from_hash(&hash.into()) == *expected {
            return Ok(self.file.clone());
        }
        self.discard().await?;
        Err(Error::DigestInvalid("provided digest did not match uploaded content"))
    }

    pub(super) async fn cancel(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.finished, true) {
            return Err(Error::UploadUnknown);
        }
        self.discard().await
    }

    async fn discard(&self) -> Result<(), Error> {
        Ok(fs::remove_file(&self.file).await?)
    }
}
