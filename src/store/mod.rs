//! Where everything durable is kept: SQLite, for a single node, or PostgreSQL, for any number of replicas.
//!
//! What both keep, and how it is read back, stands beside them, in the files `…_row`.

mod archive_row;
mod delivery_row;
mod error;
mod idempotency_row;
mod postgres;
mod search;
mod session_row;
mod sqlite;
mod tree_row;
mod uses_row;

use std::sync::Arc;

pub use error::StoreError;
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;

use crate::config::{LogBackend, LogConfig};
use crate::ports::{Alone, SharedLocks, Store, StoreReader};

/// Bytes of entries, roughly, that are read at once: large entries make short answers.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// What a backend offers.
pub struct Opened {
    pub store: Box<dyn Store>,
    /// What holds between all who have the same store open.
    pub locks: Arc<dyn SharedLocks>,
}

/// Opens the store that the configuration names. It blocks.
///
/// # Errors
/// Where it can not be opened; the sentences are for the operator.
pub fn open(config: &LogConfig) -> Result<Opened, StoreError> {
    match config.backend {
        LogBackend::Sqlite => {
            let path = config.path.as_ref().expect("invariant: the configuration has been checked");
            Ok(Opened { store: Box::new(SqliteStore::open(path)?), locks: Arc::new(Alone) })
        }
        LogBackend::Postgres => {
            let store = PostgresStore::open(config)?;
            let locks = store.locks();
            Ok(Opened { store: Box::new(store), locks })
        }
    }
}

/// The reading half alone of the store that the configuration names, which somebody else may have open for writing. It
/// blocks.
///
/// # Errors
/// As [`open`]. A store that does not exist is seen when something is read.
pub fn reader(config: &LogConfig) -> Result<Arc<dyn StoreReader>, StoreError> {
    match config.backend {
        LogBackend::Sqlite => {
            let path = config.path.as_ref().expect("invariant: the configuration has been checked");
            Ok(SqliteStore::reader_of(path))
        }
        LogBackend::Postgres => PostgresStore::reader_of(config),
    }
}
