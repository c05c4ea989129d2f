//! The reading half over SQLite.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Transaction};

use super::{SqliteStore, archive, log_error, outbox, retention, search, tree};
use crate::domain::{KeyName, SignatureId, SignatureIdentity};
use crate::ports::{
    ArchivedVersion, Delivery, EntryPage, EntryQuery, Extent, LogError, LoggedEntry, SignedCheckpoint,
    StoreReader, Waiting,
};
use crate::store::tree_row::CheckpointRow;
use crate::store::{PAGE_BYTES, archive_row};
use crate::tlog::{TileId, TreeHead};

/// Connections that can only read. In WAL mode they neither wait for the writer nor hold it up.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Connections that are kept open between questions.
    const WIDTH: usize = 6;

    pub(super) const fn of(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()) }
    }

    /// Asks within one transaction, so that every part of the answer is of the same moment.
    fn ask<T>(&self, ask: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, LogError> {
        self.try_ask(ask).map_err(|error| log_error(&error))
    }

    /// A connection that met an error is not used again.
    fn try_ask<T>(&self, ask: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let transaction = connection.transaction()?;
        let answer = ask(&transaction)?;
        transaction.finish()?;
        let mut idle = self.idle();
        if idle.len() < Self::WIDTH {
            idle.push(connection);
        }
        Ok(answer)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(SqliteStore::BUSY)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreReader for Readers {
    fn width(&self) -> usize {
        Self::WIDTH
    }

    fn entry(&self, index: u64) -> Result<Option<LoggedEntry>, LogError> {
        let Ok(index) = i64::try_from(index) else { return Ok(None) };
        self.ask(|transaction| {
            transaction
                .prepare_cached("SELECT idx, bytes FROM entries WHERE idx = ?1")?
                .query_row([index], logged)
                .optional()
        })
    }

    fn entries(&self, first: u64, limit: usize) -> Result<Vec<LoggedEntry>, LogError> {
        let Ok(first) = i64::try_from(first) else { return Ok(Vec::new()) };
        self.ask(|transaction| {
            let mut statement =
                transaction.prepare_cached("SELECT idx, bytes FROM entries WHERE idx >= ?1 ORDER BY idx")?;
            let rows = statement.query_map([first], logged)?;
            let mut bytes = 0;
            rows.take(limit)
                .take_while(|entry| {
                    let fits = bytes < PAGE_BYTES;
                    bytes += entry.as_ref().map_or(0, |entry| entry.bytes.len());
                    fits
                })
                .collect()
        })
    }

    fn head(&self) -> Result<(TreeHead, Option<SignedCheckpoint>), LogError> {
        let (head, checkpoint) =
            self.ask(|transaction| Ok((tree::head(transaction)?.0, tree::checkpoint(transaction)?)))?;
        Ok((head.edge()?.head(), checkpoint.map(CheckpointRow::checkpoint).transpose()?))
    }

    fn tiles(&self, tiles: &[TileId]) -> Result<Vec<Option<Vec<u8>>>, LogError> {
        self.ask(|transaction| tiles.iter().map(|tile| tree::tile(transaction, *tile)).collect())
    }

    fn query(&self, query: &EntryQuery) -> Result<EntryPage, LogError> {
        self.ask(|transaction| search::page(transaction, query))
    }

    fn extent(&self) -> Result<Extent, LogError> {
        self.ask(retention::extent)
    }

    fn mark(&self, name: &str) -> Result<Option<String>, LogError> {
        self.ask(|transaction| retention::mark(transaction, name))
    }

    fn first_open(&self) -> Result<Option<u64>, LogError> {
        self.ask(retention::first_open)
    }

    fn of_signature(&self, id: SignatureId) -> Result<Vec<LoggedEntry>, LogError> {
        let sql =
            "SELECT idx, bytes FROM search JOIN entries USING (idx) WHERE signature_id = ?1 ORDER BY idx";
        self.ask(|transaction| transaction.prepare_cached(sql)?.query_map([id.as_bytes()], logged)?.collect())
    }

    fn of_identity(&self, identity: SignatureIdentity) -> Result<Vec<LoggedEntry>, LogError> {
        let sql = "SELECT idx, bytes FROM search JOIN entries USING (idx) WHERE signature_id =
            (SELECT signature_id FROM search WHERE identity = ?1 ORDER BY idx DESC LIMIT 1) ORDER BY idx";
        self.ask(|transaction| {
            transaction.prepare_cached(sql)?.query_map([identity.as_bytes()], logged)?.collect()
        })
    }

    fn delivery(&self, id: SignatureId) -> Result<Option<Delivery>, LogError> {
        let found = self.ask(|transaction| outbox::delivery(transaction, id))?;
        found.map(|(row, document)| row.with(document)).transpose()
    }

    fn waiting(&self) -> Result<Waiting, LogError> {
        self.ask(outbox::waiting)
    }

    fn archived(&self, key: &KeyName) -> Result<Vec<ArchivedVersion>, LogError> {
        archive_row::versions(key, self.ask(|transaction| archive::of_key(transaction, key))?)
    }
}

/// A row of index and bytes.
pub(super) fn logged(row: &Row<'_>) -> rusqlite::Result<LoggedEntry> {
    Ok(LoggedEntry { index: row.get::<_, i64>(0)?.cast_unsigned(), bytes: row.get(1)? })
}
