//! The columns that questions are asked of. All of it is told by the entries and can be made again from them.

use std::path::Path;

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::{StoreError, retention, size};
use crate::domain::{Digest, Entry, SignatureId, SignatureIdentity};
use crate::store::search_row::Timeline;

/// The columns of [`crate::store::search_row::SearchRow`].
const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS search (
        idx INTEGER PRIMARY KEY REFERENCES entries (idx),
        time INTEGER NOT NULL, -- microseconds since 1970, as the others
        latest INTEGER NOT NULL,
        lag INTEGER NOT NULL,
        kind TEXT NOT NULL,
        operation TEXT NOT NULL,
        repository TEXT,
        digest BLOB,
        principal TEXT NOT NULL,
        key TEXT,
        key_version INTEGER,
        signature_id BLOB,
        identity BLOB
    ) STRICT;
    CREATE INDEX IF NOT EXISTS search_kind ON search (kind);
    CREATE INDEX IF NOT EXISTS search_repository ON search (repository);
    CREATE INDEX IF NOT EXISTS search_digest ON search (digest);
    CREATE INDEX IF NOT EXISTS search_principal ON search (principal);
    CREATE INDEX IF NOT EXISTS search_key ON search (key, key_version) WHERE key IS NOT NULL;
    CREATE INDEX IF NOT EXISTS search_signature ON search (signature_id) WHERE signature_id IS NOT NULL;
    CREATE INDEX IF NOT EXISTS search_identity ON search (identity) WHERE identity IS NOT NULL;
";

/// Entries that are read in one transaction while catching up.
const STEP: u64 = 10_000;

/// Adds entries to the projection, within the transaction that adds them to the log.
pub(super) struct Projection<'a> {
    insert: CachedStatement<'a>,
    timeline: Timeline,
}

impl<'a> Projection<'a> {
    /// Goes on after the last entry of the projection.
    pub(super) fn resume(transaction: &'a Transaction<'_>) -> rusqlite::Result<Self> {
        let timeline = transaction
            .prepare_cached("SELECT latest, lag FROM search ORDER BY idx DESC LIMIT 1")?
            .query_row([], |row| Ok(Timeline { latest: row.get(0)?, lag: row.get(1)? }))
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(Timeline::START),
                error => Err(error),
            })?;
        let insert = transaction.prepare_cached(
            "INSERT INTO search VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        Ok(Self { insert, timeline })
    }

    pub(super) fn add(&mut self, index: i64, entry: &Entry) -> rusqlite::Result<()> {
        let row = self.timeline.row(entry);
        self.insert.execute(params![
            index,
            row.time,
            row.latest,
            row.lag,
            row.kind,
            row.operation,
            row.repository,
            row.digest.as_ref().map(Digest::as_bytes),
            row.principal,
            row.key,
            row.key_version,
            row.signature.as_ref().map(SignatureId::as_bytes),
            row.identity.as_ref().map(SignatureIdentity::as_bytes),
        ])?;
        Ok(())
    }
}

/// Makes the projection where there is none, and adds the entries that it lacks.
///
/// # Errors
/// [`StoreError::Damaged`] where an entry can not be read, and what SQLite says.
pub(super) fn catch_up(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sqlite = |source| StoreError::Sqlite { path: path.to_owned(), source };
    connection.execute_batch(TABLE).map_err(sqlite)?;
    if !is_prefix(connection).map_err(sqlite)? {
        return rebuild(connection, path);
    }
    while step(connection, path)? {}
    Ok(())
}

/// Makes the projection again, from nothing but the entries.
///
/// # Errors
/// As [`catch_up`].
pub(super) fn rebuild(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sqlite = |source| StoreError::Sqlite { path: path.to_owned(), source };
    connection.execute_batch("DROP TABLE IF EXISTS search").map_err(sqlite)?;
    connection.execute_batch(TABLE).map_err(sqlite)?;
    while step(connection, path)? {}
    Ok(())
}

/// Whether the projection speaks of the first entries of the log and of nothing else.
fn is_prefix(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT (SELECT count(*) FROM search) = (SELECT coalesce(max(idx) + 1 - min(idx), 0) FROM search)
            AND (SELECT coalesce(min(idx), 0) FROM search) <= (SELECT coalesce(min(idx), 0) FROM entries)
            AND (SELECT coalesce(max(idx), -1) FROM search) <= (SELECT coalesce(max(idx), -1) FROM entries)",
        [],
        |row| row.get(0),
    )
}

/// Adds some of the entries that the projection lacks; false where there are none.
fn step(connection: &mut Connection, path: &Path) -> Result<bool, StoreError> {
    let sqlite = |source| StoreError::Sqlite { path: path.to_owned(), source };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    let first = retention::extent(&transaction).map_err(sqlite)?.first.cast_signed();
    let from = size(&transaction, "search").map_err(sqlite)?.max(first);
    let to = size(&transaction, "entries").map_err(sqlite)?.min(from.saturating_add_unsigned(STEP));
    {
        let mut projection = Projection::resume(&transaction).map_err(sqlite)?;
        let mut read =
            transaction.prepare_cached("SELECT bytes FROM entries WHERE idx = ?1").map_err(sqlite)?;
        for index in from..to {
            let bytes: Vec<u8> = read.query_row([index], |row| row.get(0)).map_err(sqlite)?;
            let entry = serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
                path: path.to_owned(),
                reason: format!("entry {index} can not be read: {error}"),
            })?;
            projection.add(index, &entry).map_err(sqlite)?;
        }
    }
    transaction.commit().map_err(sqlite)?;
    Ok(from < to)
}
