use std::path::PathBuf;

use crate::config::SecretError;

/// Why a store can not be opened. The sentences are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "`log.path` is {path}, but its directory does not exist: make it, writable for Signet and for nobody else"
    )]
    NoDirectory { path: PathBuf },
    #[error(
        "the log {path} is in use by another process, which holds {lock}: a log has one writer; stop the other \
         Signet or give this one a `log.path` of its own"
    )]
    InUse { path: PathBuf, lock: PathBuf },
    #[error("`log.path` is {path}, which is the database of another program: name a new file")]
    Foreign { path: PathBuf },
    #[error(
        "the log {path} has schema version {found}, this Signet knows versions up to {known}: a newer Signet has \
         written it; use that one"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("the log {path} can not be opened: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the log {path} can not be opened: {source}")]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("the log {path} is damaged: {reason}")]
    Damaged { path: PathBuf, reason: String },
    /// Says nothing of what stands there, which holds a password.
    #[error("`log.url` or `log.url_file`: {0}")]
    Url(&'static str),
    #[error("`log.url_file`: {0}")]
    Secret(SecretError),
    #[error("`log.ca_file`: {reason}")]
    Authorities { reason: String },
    #[error("the database of `log.url` can not be opened: {0}")]
    Postgres(String),
    #[error(
        "the database of `log.url` has tables of another program in its schema: name a database, or a schema, of \
         Signet's own"
    )]
    PostgresForeign,
    #[error(
        "the database of `log.url` has schema version {found}, this Signet knows versions up to {known}: a newer \
         Signet has written it; use that one"
    )]
    PostgresNewer { found: i64, known: i64 },
}
