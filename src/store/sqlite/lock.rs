//! One process per database.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::{StoreError, open_private};

/// Held as long as the database may be written. The system lets go when the process ends, however it ends.
///
/// SQLite alone would let two processes take turns, and each would believe that the log is its own.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// # Errors
    /// [`StoreError::InUse`] where another process, or another store of this one, has the lock.
    pub(super) fn acquire(database: &Path) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let file = open_private(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: database.to_owned(), lock: path }),
            Err(TryLockError::Error(source)) => Err(StoreError::Io { path, source }),
        }
    }
}

/// Beside the database. It is never deleted: a deleted file could be locked by one process and made anew by the next.
fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}
