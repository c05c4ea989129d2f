//! The files of the search index.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, params};

use super::readers::{Readers, logged};
use super::recent::Recent;
use super::retention;
use super::{SqliteStore, WAL_BYTES, create};
use crate::ports::{LoggedEntry, Order};
use crate::store::search::{Changes, Dictionary, Meta, PAGE_TIME, Pair, Range, SearchFault, View};

/// What the reading half and the projector share.
#[derive(Debug)]
pub(super) struct Index {
    live: RwLock<Option<Arc<IndexFile>>>,
    recent: Mutex<Recent>,
    /// Somebody has read what was never written.
    damaged: AtomicBool,
}

impl Index {
    /// Of a log with `size` entries. There is no file yet.
    pub(super) fn of_size(size: u64) -> Self {
        Self {
            live: RwLock::default(),
            recent: Mutex::new(Recent::of_size(size)),
            damaged: AtomicBool::new(false),
        }
    }

    pub(super) fn live(&self) -> Option<Arc<IndexFile>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on, `file` answers.
    pub(super) fn switch(&self, file: Option<Arc<IndexFile>>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = file;
    }

    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_damaged(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// Whether it was damaged since this was asked last.
    pub(super) fn take_damage(&self) -> bool {
        self.damaged.swap(false, Ordering::Relaxed)
    }
}

/// One file of the search index. There are two names for it, so that a new one can be filled while another answers.
#[derive(Debug)]
pub(super) struct IndexFile {
    pub(super) path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    dictionary: Mutex<Arc<Dictionary>>,
}

/// The names' endings.
const ENDINGS: [&str; 2] = ["search-a", "search-b"];

/// Tells our indexes from other databases.
const APPLICATION: i64 = 0x5349_4758; // "SIGX"

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS small (k BLOB PRIMARY KEY, v BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS large (k INTEGER PRIMARY KEY, v BLOB NOT NULL) STRICT;
";

/// Kilobytes of the writer's memory for pages: the newest parts of all that it writes to.
const CACHE: i64 = 96 * 1024;

/// Pages of the write-ahead log after which it is moved into the file, which synchronises the disk: the log wants it, too.
const CHECKPOINT: i64 = 16 * 1024;

/// How long one question may take. Each part of its work is small.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Both names for the index of the log at `path`.
pub(super) fn paths(path: &Path) -> [PathBuf; 2] {
    ENDINGS.map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        name.into()
    })
}

/// Deletes an index with what SQLite has beside it. Who has it open can go on reading.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

impl IndexFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), dictionary: Mutex::default() }
    }

    /// The connection that writes; the file is made where there is none. What it commits may be gone after a loss of power:
    /// then the index goes on from where it was before.
    ///
    /// # Errors
    /// [`SearchFault::Damaged`] where the file is none of ours.
    pub(super) fn writer(&self) -> Result<Connection, SearchFault> {
        create(&self.path)
            .map_err(|error| SearchFault::Failed { reason: error.to_string(), transient: true })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(SqliteStore::BUSY)?;
            connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", "normal")?;
            connection.pragma_update(None, "cache_size", -CACHE)?;
            connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT, |_| Ok(()))?;
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES, |_| Ok(()))?;
            connection.execute_batch(TABLES)?;
            connection.pragma_update(None, "application_id", APPLICATION)?;
            Ok(connection)
        };
        open().map_err(of_index)
    }

    /// Asks the index and the log at once: the log is never behind the index.
    pub(super) fn ask<T>(
        &self,
        log: &Connection,
        ask: impl FnOnce(&dyn View, &Meta, &Dictionary) -> Result<T, SearchFault>,
    ) -> Result<T, SearchFault> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Readers::open(&self.path).map_err(of_index)?,
        };
        let transaction = connection.transaction().map_err(of_index)?;
        let now = Instant::now();
        let view = SqliteView { index: &transaction, log, until: now + TIME_LIMIT, long: now + PAGE_TIME };
        let meta =
            Meta::read(&view)?.ok_or_else(|| SearchFault::damaged("it does not say how far it has come"))?;
        let dictionary = self.dictionary(&view, &meta)?;
        let answer = ask(&view, &meta, &dictionary)?;
        transaction.finish().map_err(of_index)?;
        let mut idle = self.idle();
        if idle.len() < super::readers::Readers::WIDTH {
            idle.push(connection);
        }
        Ok(answer)
    }

    fn dictionary(&self, view: &dyn View, meta: &Meta) -> Result<Arc<Dictionary>, SearchFault> {
        let mut dictionary = self.dictionary.lock().unwrap_or_else(PoisonError::into_inner);
        if !dictionary.knows(meta) {
            Arc::make_mut(&mut dictionary).follow(view, meta)?;
        }
        Ok(Arc::clone(&dictionary))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes `changes`, within a transaction.
pub(super) fn write(connection: &Connection, changes: &Changes) -> Result<(), SearchFault> {
    let all = || {
        let mut put = connection.prepare_cached(
            "INSERT INTO small VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v WHERE v <> excluded.v",
        )?;
        let mut delete = connection.prepare_cached("DELETE FROM small WHERE k = ?1")?;
        for (key, value) in &changes.small {
            match value {
                Some(value) => put.execute((key, value))?,
                None => delete.execute([key])?,
            };
        }
        let mut put = connection.prepare_cached(
            "INSERT INTO large VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
        )?;
        for (key, value) in &changes.large {
            put.execute((key, value))?;
        }
        Ok(())
    };
    all().map_err(of_index)
}

/// The index and the log, each within a transaction.
pub(super) struct SqliteView<'a> {
    pub(super) index: &'a Connection,
    pub(super) log: &'a Connection,
    pub(super) until: Instant,
    /// When a page has taken long.
    pub(super) long: Instant,
}

impl SqliteView<'_> {
    /// For the projector, whom nobody waits for.
    pub(super) fn patient<'a>(index: &'a Connection, log: &'a Connection) -> SqliteView<'a> {
        let now = Instant::now();
        SqliteView { index, log, until: now + Duration::from_secs(3600), long: now + PAGE_TIME }
    }

    fn in_time(&self) -> Result<(), SearchFault> {
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(SearchFault::Failed {
            reason: format!("a question took longer than {TIME_LIMIT:?}"),
            transient: false,
        })
    }
}

impl View for SqliteView<'_> {
    fn is_long(&self) -> bool {
        Instant::now() >= self.long
    }

    fn small(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, SearchFault> {
        self.in_time()?;
        let all = || -> rusqlite::Result<_> {
            let mut select = self.index.prepare_cached("SELECT v FROM small WHERE k = ?1")?;
            keys.iter().map(|key| select.query_row([key], |row| row.get(0)).optional()).collect()
        };
        all().map_err(of_index)
    }

    fn ranges(&self, ranges: &[Range], limit: usize, order: Order) -> Result<Vec<Vec<Pair>>, SearchFault> {
        self.in_time()?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let all = || -> rusqlite::Result<_> {
            let sql = match order {
                Order::OldestFirst => "SELECT k, v FROM small WHERE k >= ?1 AND k < ?2 ORDER BY k LIMIT ?3",
                Order::NewestFirst => {
                    "SELECT k, v FROM small WHERE k >= ?1 AND k < ?2 ORDER BY k DESC LIMIT ?3"
                }
            };
            let mut select = self.index.prepare_cached(sql)?;
            let range = |(from, to): &Range| {
                let pairs =
                    select.query_map(params![from, to, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
                pairs.collect()
            };
            ranges.iter().map(range).collect()
        };
        all().map_err(of_index)
    }

    fn large(&self, keys: &[i64]) -> Result<Vec<Option<Vec<u8>>>, SearchFault> {
        self.in_time()?;
        let all = || -> rusqlite::Result<_> {
            let mut select = self.index.prepare_cached("SELECT v FROM large WHERE k = ?1")?;
            keys.iter().map(|key| select.query_row([key], |row| row.get(0)).optional()).collect()
        };
        all().map_err(of_index)
    }

    fn large_range(&self, first: i64, last: i64) -> Result<Vec<(i64, Vec<u8>)>, SearchFault> {
        self.in_time()?;
        let all = || -> rusqlite::Result<_> {
            let sql = "SELECT k, v FROM large WHERE k BETWEEN ?1 AND ?2 ORDER BY k";
            let mut select = self.index.prepare_cached(sql)?;
            select.query_map([first, last], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        all().map_err(of_index)
    }

    fn entries(&self, indexes: &[u64]) -> Result<Vec<LoggedEntry>, SearchFault> {
        self.in_time()?;
        let all = || -> rusqlite::Result<_> {
            let mut select = self.log.prepare_cached("SELECT idx, bytes FROM entries WHERE idx = ?1")?;
            let each = indexes.iter().map(|index| select.query_row([index.cast_signed()], logged).optional());
            each.filter_map(Result::transpose).collect()
        };
        all().map_err(of_log)
    }

    fn first(&self) -> Result<u64, SearchFault> {
        retention::first(self.log).map_err(of_log)
    }
}

/// What SQLite says of the index.
pub(super) fn of_index(error: rusqlite::Error) -> SearchFault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => SearchFault::Damaged(error.to_string()),
        _ if is_of_another_form(&error) => SearchFault::Damaged(error.to_string()),
        _ => SearchFault::Failed { reason: format!("the search index: {error}"), transient: true },
    }
}

/// Tables or columns that are not there, or hold something else.
fn is_of_another_form(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => failure.code == ErrorCode::Unknown,
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::SqlInputError { .. } => true,
        _ => false,
    }
}

/// What SQLite says of the log, which is another matter.
pub(super) fn of_log(error: rusqlite::Error) -> SearchFault {
    SearchFault::Failed { reason: error.to_string(), transient: true }
}
