//! Entries that are old enough leave the database for files: `[log.archive]`.
//!
//! The files are a mirror of the log's beginning in the layout of <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md>: bundles of
//! entries below `tile/entries`, the hashes that lead from each of them to the root, and the checkpoint that signs it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::durable_file;
use super::{GroupCommitLog, Push};
use crate::config::ArchiveConfig;
use crate::domain::{Clock, Entry, Event, Timestamp};
use crate::ports::{
    LogError, LogRange as _, LogSearch as _, Marks as _, SharedLocks, SignedCheckpoint, Transparency, Writes,
};
use crate::tlog::{Hash, Row, TILE_WIDTH, TilePath, entries_of, push_entry};

/// Archives what is old enough, now and again. Of replicas, one does.
///
/// An entry is deleted only after its file was synchronised, read back, and hashed to what the tree has; the boundary, below
/// which the database lets entries be deleted, moves in the commit of the entry that tells of it. A crash in between leaves files
/// that are written again, or entries that are deleted later.
pub struct Archiver {
    pub log: Arc<GroupCommitLog>,
    pub transparency: Arc<dyn Transparency>,
    pub locks: Arc<dyn SharedLocks>,
    pub clock: Arc<dyn Clock>,
    pub config: ArchiveConfig,
    /// The receivers that have to be sent an entry before it leaves.
    pub receivers: Vec<String>,
}

/// Bundles that are written before the boundary moves.
const BUNDLES: u64 = 256;

/// The longest and the shortest time between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(1));

impl Archiver {
    /// Archives until `stopped`.
    pub async fn run_until(self, stopped: CancellationToken) {
        let pause = (self.config.after / 10).clamp(PAUSES.1, PAUSES.0);
        stopped
            .run_until_cancelled(async {
                loop {
                    match self.pass().await {
                        Ok(0) => {}
                        Ok(end) => tracing::info!(end, "entries below this index are archived"),
                        Err(error) => {
                            tracing::error!(%error, "entries could not be archived, and stay in the database")
                        }
                    }
                    tokio::time::sleep(pause).await;
                }
            })
            .await;
    }

    /// Archives everything that is old enough; the new boundary, or 0 where it is the old one.
    async fn pass(&self) -> Result<u64, LogError> {
        let mut moved = 0;
        loop {
            let Some(_lock) = self.locks.lock_work("archive").await? else { return Ok(moved) };
            // What the step before has archived, or an earlier pass that did not come to it.
            self.log.drop_archived().await?;
            let Some(end) = self.step().await? else { return Ok(moved) };
            moved = end;
        }
    }

    /// Archives some bundles, and moves the boundary: where it is now, if it has moved.
    async fn step(&self) -> Result<Option<u64>, LogError> {
        let Some(checkpoint) = self.transparency.checkpoint().await? else { return Ok(None) };
        let extent = self.log.extent().await?;
        // The last entry stays, whatever its age.
        let mut bound = checkpoint.head.size.min(extent.size).saturating_sub(1);
        bound = bound.min(self.log.first_open().await?.unwrap_or(u64::MAX));
        // What is not indexed yet could never be.
        bound = bound.min(self.log.progress().await?.indexed);
        for receiver in &self.receivers {
            let sent = self.log.mark(&Push::mark(receiver)).await?;
            bound = bound.min(sent.and_then(|sent| sent.parse().ok()).unwrap_or(0));
        }
        let before = self.clock.now().checked_sub(self.config.after).unwrap_or(Timestamp::MIN);
        let first = extent.first / TILE_WIDTH;
        let mut end = first;
        while end < first + BUNDLES && (end + 1) * TILE_WIDTH <= bound && self.bundle(end, before).await? {
            end += 1;
        }
        if end == first {
            return Ok(None);
        }
        self.frame(&checkpoint, first, end).await?;
        let end = end * TILE_WIDTH;
        let entry = Entry::of_service(self.clock.now(), Event::Archive { end });
        let writes = Writes { archived_below: Some(end), ..Writes::default() };
        self.log.write_entries(vec![entry], writes).await?;
        Ok(Some(end))
    }

    /// Writes a bundle and its hashes, and reads them back; false where one of its entries is not old enough.
    async fn bundle(&self, number: u64, before: Timestamp) -> Result<bool, LogError> {
        let (mut bundle, mut next) = (Vec::new(), number * TILE_WIDTH);
        while next < (number + 1) * TILE_WIDTH {
            let limit = usize::try_from((number + 1) * TILE_WIDTH - next).unwrap_or(usize::MAX);
            let entries = self.log.range(next, limit).await?;
            if entries.is_empty() {
                return Err(LogError(format!("entry {next} is not in the database")));
            }
            for logged in entries {
                if logged.entry()?.time >= before {
                    return Ok(false);
                }
                push_entry(&mut bundle, &logged.bytes);
                next = logged.index + 1;
            }
        }
        let hashes = self.transparency.tile(0, number, TilePath::WIDTH).await?;
        let hashes = hashes.ok_or_else(|| LogError(format!("the tree has no tile 0/{number}")))?;
        let of = |row| TilePath { row, number, width: TilePath::WIDTH };
        self.write(of(Row::Hashes(0)), hashes.clone()).await?;
        let read = self.write(of(Row::Entries), bundle).await?;
        let leaves = entries_of(&read).map(|entry| entry.map(Hash::of_leaf)).collect::<Result<Vec<_>, _>>();
        let leaves = leaves.map_err(|error| LogError(format!("the bundle {number}, read back: {error}")))?;
        if leaves.iter().flat_map(|hash| hash.0).ne(hashes) {
            return Err(LogError(format!("the bundle {number}, read back, is not what the tree has hashed")));
        }
        Ok(true)
    }

    /// Writes what leads from the bundles `first` to before `end` to the checkpoint's root, and the checkpoint.
    async fn frame(&self, checkpoint: &SignedCheckpoint, first: u64, end: u64) -> Result<(), LogError> {
        let size = checkpoint.head.size;
        for level in 0..8 {
            let Some(edge) = TilePath::hashes_at(level, size).checked_sub(1).map(|last| last / TILE_WIDTH)
            else {
                break;
            };
            let numbers = match level {
                0 => edge..=edge,
                _ => first >> (8 * u32::from(level))..=(end - 1) >> (8 * u32::from(level)),
            };
            let beside = (!numbers.contains(&edge)).then_some(edge);
            for number in numbers.chain(beside) {
                let Some(path) = TilePath::of_tree(level, number, size) else { continue };
                let hashes = self.transparency.tile(level, number, path.width).await?;
                let hashes = hashes.ok_or_else(|| LogError(format!("the tree has no tile {path}")))?;
                self.write(path, hashes).await?;
            }
        }
        let (directory, note) = (self.config.directory.clone(), checkpoint.note.clone());
        blocking(move || replace(&directory.join("checkpoint"), note.as_bytes())).await.map(drop)
    }

    /// Writes a file, and gives what is in it then.
    async fn write(&self, path: TilePath, bytes: Vec<u8>) -> Result<Vec<u8>, LogError> {
        let file = self.config.directory.join("tile").join(path.to_string());
        blocking(move || {
            if path.is_full() {
                // What the tile was while it was growing.
                let mut partial = file.clone().into_os_string();
                partial.push(".p");
                match fs::remove_dir_all(&partial) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(at(Path::new(&partial), &error));
                    }
                    _ => {}
                }
            }
            replace(&file, &bytes)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let ended = |error| LogError(format!("archiving ended early: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

/// Writes the file durably, whole or not at all, and reads it back.
fn replace(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, LogError> {
    let work = || {
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        create(directory)?;
        durable_file::replace(path, bytes)?;
        fs::read(path)
    };
    let read = work().map_err(|error| at(path, &error))?;
    if read != bytes {
        return Err(LogError(format!("{}: it has not what was written to it", path.display())));
    }
    Ok(read)
}

/// Makes a directory with those above it, so that all of their names are durable.
fn create(directory: &Path) -> io::Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut at = directory;
    while !at.exists() {
        missing.push(at.to_owned());
        match at.parent() {
            Some(parent) => at = parent,
            None => break,
        }
    }
    for made in missing.iter().rev() {
        match fs::create_dir(made) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if let Some(parent) = made.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

fn at(path: &Path, error: &io::Error) -> LogError {
    LogError(format!("{}: {error}", path.display()))
}
