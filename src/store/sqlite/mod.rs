//! A single node's store: a file of SQLite.

mod archive;
mod idempotency;
mod index;
mod lock;
mod origin;
mod outbox;
mod projector;
mod quotas;
mod readers;
mod recent;
mod retention;
mod schema;
mod sessions;
#[cfg(test)]
mod tests;
mod tree;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use self::index::Index;
use self::lock::Lock;
use self::projector::SqliteProjector;
use self::readers::Readers;
use super::StoreError;
use super::tree_row::Witness;
use crate::domain::{SignatureId, Timestamp};
use crate::ports::{LogError, Projector, Store, StoreReader, Writes, Written};
use crate::tlog::TreeHead;

/// A database file, written by this process alone.
///
/// The journal is a write-ahead log that is synchronised at each commit (`synchronous=FULL`): with less, SQLite
/// may lose what it has acknowledged. <https://www.sqlite.org/pragma.html#pragma_synchronous>
/// The file must lie on a local file system. <https://www.sqlite.org/wal.html>
pub struct SqliteStore {
    connection: Connection,
    file: FileIdentity,
    witness: Witness,
    readers: Arc<Readers>,
    index: Arc<Index>,
    _lock: Lock,
}

/// Bytes that the write-ahead log keeps when it is not needed.
const WAL_BYTES: i64 = 16 * 1024 * 1024;

impl SqliteStore {
    /// How long to wait for a lock that only a foreign reader, a backup for instance, may hold.
    const BUSY: Duration = Duration::from_secs(5);

    /// Opens the database at `path`, made with access for its owner alone where there is none. The directory must
    /// exist. A database of an older Signet is brought up to date: entries that have no tree yet are hashed, which may take a
    /// while, and those that the search index does not know yet are added to it, as far as that is quickly done. Deliveries
    /// that are not attached yet are due: whoever had taken them has gone.
    ///
    /// # Errors
    /// Also where another process has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let path = resolve(path)?;
        let lock = Lock::acquire(&path)?;
        create(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        let mut connection =
            connect(&path).map_err(|source| StoreError::Sqlite { path: path.clone(), source })?;
        schema::prepare(&mut connection, &path)?;
        let head = tree::open(&mut connection, &path)?;
        let index = Arc::new(Index::of_size(head.size));
        outbox::release(&connection).map_err(|source| StoreError::Sqlite { path: path.clone(), source })?;
        let file = FileIdentity::of(&path).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        catch_up(&mut SqliteProjector::new(path.clone(), index.clone()));
        let readers = Arc::new(Readers::of(path, index.clone()));
        Ok(Self { connection, file, witness: Witness::of(head), readers, index, _lock: lock })
    }

    /// Only reads the database at `path`, which another process may write, without its search index.
    pub fn reader_of(path: &Path) -> Arc<dyn StoreReader> {
        Arc::new(Readers::of(path.to_owned(), Arc::new(Index::of_size(0))))
    }

    fn write(&mut self, writes: &Writes) -> Result<Written, LogError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut edge = tree::edge(&transaction, &mut self.witness)?;
        let before = edge.head();
        // Read anew each time: after a failed commit, memory is no witness.
        let first = before.size.cast_signed();
        {
            let mut insert = transaction.prepare_cached("INSERT INTO entries VALUES (?1, ?2)")?;
            for (index, entry) in (first..).zip(&writes.entries) {
                insert.execute((index, entry.bytes()))?;
            }
        }
        tree::append(&transaction, &mut edge, &writes.entries)?;
        for change in &writes.changes {
            outbox::change(&transaction, first, writes, change)?;
        }
        let recalled = writes.bindings.iter().map(|binding| idempotency::bind(&transaction, binding));
        let recalled = recalled.collect::<rusqlite::Result<_>>()?;
        let kept = writes.answers.iter().map(|(id, answer)| idempotency::keep(&transaction, id, answer));
        let kept = kept.collect::<rusqlite::Result<_>>()?;
        for version in &writes.archived {
            archive::keep(&transaction, version)?;
        }
        let taken = writes.takings.iter().map(|taking| quotas::take(&transaction, taking));
        let taken = taken.collect::<rusqlite::Result<_>>()?;
        let opened = sessions::change(&transaction, &writes.sessions)?;
        retention::write(&transaction, writes)?;
        if let Some(checkpoint) = &writes.checkpoint {
            tree::keep(&transaction, checkpoint)?;
        }
        let head = edge.head();
        self.witness.trying(head);
        transaction.commit()?;
        self.witness.committed(head);
        self.index.recent().add(first.cast_unsigned(), &writes.entries);
        Ok(Written { first: first.cast_unsigned(), before, head, recalled, kept, taken, opened })
    }

    #[cfg(test)]
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, writes: &Writes) -> Result<Written, LogError> {
        self.file.check()?;
        self.write(writes)
    }

    fn take_due(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<SignatureId>, LogError> {
        self.file.check()?;
        outbox::take_due(&mut self.connection, now, until, limit).map_err(|error| log_error(&error))
    }

    fn forget(&mut self, before: Timestamp) -> Result<u64, LogError> {
        self.file.check()?;
        let forgotten = idempotency::forget(&self.connection, before).map_err(|error| log_error(&error))?;
        Ok(forgotten as u64)
    }

    fn forget_uses(&mut self, before: Timestamp) -> Result<u64, LogError> {
        self.file.check()?;
        let forgotten = quotas::forget(&self.connection, before).map_err(|error| log_error(&error))?;
        Ok(forgotten as u64)
    }

    fn forget_sessions(&mut self, now: Timestamp, idle_since: Timestamp) -> Result<u64, LogError> {
        self.file.check()?;
        let forgotten = sessions::forget(&self.connection, now, idle_since);
        Ok(forgotten.map_err(|error| log_error(&error))? as u64)
    }

    fn drop_archived(&mut self) -> Result<u64, LogError> {
        self.file.check()?;
        let dropped = retention::drop_some(&mut self.connection).map_err(|error| log_error(&error))?;
        Ok(dropped as u64)
    }

    fn probe(&mut self) -> Result<(), LogError> {
        self.file.check()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tree::edge(&transaction, &mut self.witness)?;
        transaction
            .execute("INSERT INTO probe VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET count = count + 1", [])
            .and_then(|_| transaction.commit())
            .map_err(|error| log_error(&error))
    }

    fn settle_origin(&mut self, wanted: &str) -> Result<String, LogError> {
        self.file.check()?;
        origin::settle(&self.connection, wanted).map_err(|error| log_error(&error))
    }

    fn head(&self) -> TreeHead {
        self.witness.last()
    }

    fn verdict(&self) -> Result<(), LogError> {
        self.witness.verdict()
    }

    /// Moves everything from the write-ahead log into the database file.
    fn close(&mut self) -> Result<(), LogError> {
        let busy: bool = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| log_error(&error))?;
        if busy { Err(LogError("somebody is still reading the database".to_owned())) } else { Ok(()) }
    }

    fn reader(&self) -> Arc<dyn StoreReader> {
        Arc::clone(&self.readers) as Arc<dyn StoreReader>
    }

    fn projector(&self) -> Box<dyn Projector> {
        Box::new(SqliteProjector::new(self.file.path.clone(), self.index.clone()))
    }
}

/// Adds what the last run may have left behind. More is left to the service's own time: until it has done, nothing can
/// be looked up.
fn catch_up(projector: &mut SqliteProjector) {
    const STEPS: usize = 20;
    for _ in 0..STEPS {
        match projector.step() {
            Ok(step) if step.more => {}
            Ok(_) => return,
            Err(error) => return tracing::error!(%error, "the search index does not follow the log"),
        }
    }
}

/// Which file was opened. A file that is deleted or replaced while it is open can still be written to, and SQLite
/// does so without a word: what it holds would be gone at the next start.
struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileIdentity {
    fn of(path: &Path) -> io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self { path: path.to_owned(), device: file.dev(), inode: file.ino() })
    }

    /// One look at the directory, some microseconds.
    fn check(&self) -> Result<(), LogError> {
        match std::fs::metadata(&self.path) {
            Ok(file) if (file.dev(), file.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(LogError(format!("{} is another file than was opened", self.path.display()))),
            Err(error) => Err(LogError(format!("{}: {error}", self.path.display()))),
        }
    }
}

/// The number of entries: they are counted from 0, without gaps.
fn size(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT coalesce(max(idx) + 1, 0) FROM entries")?
        .query_row([], |row| row.get(0))
}

/// Opens a file for writing, made with access for its owner alone where there is none.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

/// The one path of the database, so that the lock is found whichever way leads to it.
fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    if let Ok(path) = path.canonicalize() {
        return Ok(path);
    }
    let missing = || StoreError::NoDirectory { path: path.to_owned() };
    let parent = match path.parent() {
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) => parent,
        None => return Err(missing()),
    };
    let name = path.file_name().ok_or_else(missing)?;
    let directory = parent.canonicalize().map_err(|_| missing())?;
    Ok(directory.join(name))
}

/// Makes the file before SQLite does, which would let the umask decide who may read it. SQLite gives its other
/// files the same permissions.
fn create(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    open_private(path)?.sync_all()?;
    match path.parent() {
        // The file's name is in the directory: without it, the file would be gone after a loss of power.
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(SqliteStore::BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Large documents make the write-ahead log long: it is cut again when it has been moved into the database.
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES, |_| Ok(()))?;
    Ok(connection)
}

impl From<rusqlite::Error> for LogError {
    fn from(error: rusqlite::Error) -> Self {
        log_error(&error)
    }
}

/// What SQLite said, for the log's caller.
fn log_error(error: &rusqlite::Error) -> LogError {
    LogError(error.to_string())
}
