//! The reading half over SQLite.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Transaction};

use super::index::{Index, of_log};
use super::recent::Name;
use super::{SqliteStore, archive, log_error, outbox, retention, sessions, size, tree};
use crate::domain::{KeyName, Reach, SignatureId, SignatureIdentity};
use crate::ports::{
    ArchivedVersion, CountQuery, Counts, Delivery, EntryPage, EntryQuery, Extent, LogError, LoggedEntry,
    SearchProgress, Session, SessionId, SignaturePage, SignatureQuery, SignaturesOf, SignedCheckpoint,
    StoreReader, Waiting,
};
use crate::store::search::{self, Dictionary, Meta, SearchFault, View};
use crate::store::session_row::SessionRow;
use crate::store::tree_row::CheckpointRow;
use crate::store::{PAGE_BYTES, archive_row};
use crate::tlog::{TileId, TreeHead};

/// Connections that can only read. In WAL mode they neither wait for the writer nor hold it up.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    index: Arc<Index>,
}

impl Readers {
    /// Connections that are kept open between questions.
    pub(super) const WIDTH: usize = 6;

    pub(super) const fn of(path: PathBuf, index: Arc<Index>) -> Self {
        Self { path, idle: Mutex::new(Vec::new()), index }
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
            None => Self::open(&self.path)?,
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

    /// Asks the search index and the log. The index answers first: so the log is never behind it.
    fn search<T>(
        &self,
        ask: impl FnOnce(&dyn View, &Meta, &Dictionary) -> Result<T, SearchFault>,
    ) -> Result<T, LogError> {
        let file = self.index.live().ok_or_else(no_index)?;
        let answer = self.ask(|log| Ok(file.ask(log, ask)))?;
        self.notice(answer)
    }

    /// Has an index made again that has answered what was never written.
    fn notice<T>(&self, answer: Result<T, SearchFault>) -> Result<T, LogError> {
        if let Err(SearchFault::Damaged(_)) = &answer {
            self.index.is_damaged();
        }
        Ok(answer?)
    }

    /// [`Readers::search`], also told the size of the log.
    fn search_with_size<T>(
        &self,
        ask: impl FnOnce(&dyn View, &Meta, &Dictionary, u64) -> Result<T, SearchFault>,
    ) -> Result<T, LogError> {
        let file = self.index.live().ok_or_else(no_index)?;
        let answer = self.ask(|log| {
            Ok(file.ask(log, |view, meta, dictionary| {
                let size = size(log).map_err(of_log)?;
                ask(view, meta, dictionary, size.cast_unsigned())
            }))
        })?;
        self.notice(answer)
    }

    /// Asks for signatures that may be in what the index does not know yet: `ask` is told which entries there are of each name.
    fn look_up<T>(
        &self,
        names: &[Name],
        ask: impl FnOnce(&dyn View, &Dictionary, &[Vec<u64>]) -> Result<T, SearchFault>,
    ) -> Result<T, LogError> {
        // Before the index: what leaves here meanwhile has come there.
        let (floor, recent) = {
            let known = self.index.recent();
            (known.floor(), names.iter().map(|name| known.of(*name)).collect::<Vec<_>>())
        };
        self.search(|view, meta, dictionary| {
            meta.reaches(floor)?;
            ask(view, dictionary, &recent)
        })
    }

    pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(SqliteStore::BUSY)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        // Else statements with ranges are planned anew for each value that they are given.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
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
        self.ask(|transaction| entries(transaction, first, limit, PAGE_BYTES))
    }

    fn head(&self) -> Result<(TreeHead, Option<SignedCheckpoint>), LogError> {
        let (head, checkpoint) =
            self.ask(|transaction| Ok((tree::head(transaction)?.0, tree::checkpoint(transaction)?)))?;
        Ok((head.edge()?.head(), checkpoint.map(CheckpointRow::checkpoint).transpose()?))
    }

    fn tiles(&self, tiles: &[TileId]) -> Result<Vec<Option<Vec<u8>>>, LogError> {
        self.ask(|transaction| tiles.iter().map(|tile| tree::tile(transaction, *tile)).collect())
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
        self.look_up(&[Name::Signature(id)], |view, _, recent| {
            search::telling(view, &merged(search::of_signature(view, id)?, recent.concat()))
        })
    }

    fn of_identities(&self, identities: &[SignatureIdentity]) -> Result<Vec<Vec<LoggedEntry>>, LogError> {
        let names: Vec<_> = identities.iter().copied().map(Name::Identity).collect();
        let newest = self.look_up(&names, |view, _, recent| {
            let recent = recent.iter().map(|entries| entries.last().copied());
            search::of_identities(view, &identities.iter().copied().zip(recent).collect::<Vec<_>>())
        })?;
        let tell = |id: Option<_>| id.map_or_else(|| Ok(Vec::new()), |id| self.of_signature(id));
        newest.into_iter().map(tell).collect()
    }

    fn of_subject(&self, of: &SignaturesOf) -> Result<Vec<LoggedEntry>, LogError> {
        self.look_up(&[Name::Digest(of.subject.digest)], |view, dictionary, recent| {
            view.entries(&merged(search::of_subject(view, dictionary, of)?, recent.concat()))
        })
    }

    fn query(&self, query: &EntryQuery, reach: &Reach) -> Result<EntryPage, LogError> {
        self.search_with_size(|view, meta, dictionary, size| {
            search::page(view, meta, dictionary, size, query, reach)
        })
    }

    fn signatures(&self, query: &SignatureQuery, reach: &Reach) -> Result<SignaturePage, LogError> {
        self.search_with_size(|view, meta, dictionary, size| {
            search::signatures(view, meta, dictionary, size, query, reach)
        })
    }

    fn counts(&self, query: &CountQuery, reach: &Reach) -> Result<Counts, LogError> {
        self.search_with_size(|view, meta, dictionary, size| {
            search::counts(view, meta, dictionary, size, query, reach)
        })
    }

    fn progress(&self) -> Result<SearchProgress, LogError> {
        self.search_with_size(|_, meta, _, log_size| Ok(SearchProgress { log_size, indexed: meta.indexed }))
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

    fn session(&self, id: SessionId) -> Result<Option<Session>, LogError> {
        let row = self.ask(|transaction| sessions::find(transaction, id))?;
        row.map(SessionRow::session).transpose()
    }
}

fn no_index() -> LogError {
    LogError("there is no search index yet".to_owned())
}

/// Indexes of both, in their order, each once.
fn merged(mut indexed: Vec<u64>, recent: Vec<u64>) -> Vec<u64> {
    indexed.extend(recent);
    indexed.sort_unstable();
    indexed.dedup();
    indexed
}

/// Entries from `first` on, in their order: at most `limit`, and no more once there are so many bytes.
pub(super) fn entries(
    connection: &Connection,
    first: i64,
    limit: usize,
    bytes: usize,
) -> rusqlite::Result<Vec<LoggedEntry>> {
    let mut select =
        connection.prepare_cached("SELECT idx, bytes FROM entries WHERE idx >= ?1 ORDER BY idx")?;
    let rows = select.query_map([first], logged)?;
    let mut read = 0;
    rows.take(limit)
        .take_while(|entry| {
            let fits = read < bytes;
            read += entry.as_ref().map_or(0, |entry| entry.bytes.len());
            fits
        })
        .collect()
}

/// A row of index and bytes.
pub(super) fn logged(row: &Row<'_>) -> rusqlite::Result<LoggedEntry> {
    Ok(LoggedEntry { index: row.get::<_, i64>(0)?.cast_unsigned(), bytes: row.get(1)? })
}
