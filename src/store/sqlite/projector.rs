//! What fills the search index.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::index::{self, Index, IndexFile, SqliteView, of_index, of_log};
use super::readers::{Readers, entries};
use super::size;
use crate::domain::Digest;
use crate::ports::{LogError, Projector, SearchProgress, Step};
use crate::store::search::{
    Changes, Following, Meta, STEP, STEP_BYTES, SearchFault, Standing, View as _, archived, project,
};

/// Fills a file beside the log's, so that it never has the lock of the log's writer.
pub(super) struct SqliteProjector {
    path: PathBuf,
    index: Arc<Index>,
    /// Reads the log.
    log: Option<Connection>,
    live: Option<Filling>,
    /// What is being made anew, until it has come as far as `live`.
    next: Option<Filling>,
    /// Whether that is to begin.
    rebuild: bool,
}

/// A file that is being filled.
struct Filling {
    file: Arc<IndexFile>,
    connection: Connection,
    /// Read again after each failure.
    standing: Option<Standing>,
}

impl SqliteProjector {
    pub(super) const fn new(path: PathBuf, index: Arc<Index>) -> Self {
        Self { path, index, log: None, live: None, next: None, rebuild: false }
    }

    fn try_step(&mut self) -> Result<Step, SearchFault> {
        let log = match self.log.take() {
            Some(log) => log,
            None => Readers::open(&self.path).map_err(of_log)?,
        };
        let log = self.log.insert(log);
        if self.index.take_damage() {
            return Err(SearchFault::damaged("a question met what was never written"));
        }
        let live = match &mut self.live {
            Some(live) => live,
            none => {
                let found = find(&self.path, log)?;
                self.index.switch(Some(found.file.clone()));
                none.insert(found)
            }
        };
        if std::mem::take(&mut self.rebuild) {
            self.next = None;
            let other = index::paths(&self.path).into_iter().find(|path| *path != live.file.path);
            self.next = other
                .map(|path| {
                    discard(&path);
                    Filling::open(path)
                })
                .transpose()?;
        }
        let written = live.indexed().map_or_else(Vec::new, |from| self.index.recent().written(from));
        let mut step = live.step(log, written)?;
        self.index.recent().forget(step.progress.indexed);
        if let Some(next) = &mut self.next {
            let ahead = next.step(log, Vec::new())?;
            step.more |= ahead.more;
            step.added += ahead.added;
            if ahead.progress.indexed >= step.progress.indexed {
                self.switch();
            }
        }
        Ok(step)
    }

    /// The new index has come as far as the other, which goes.
    fn switch(&mut self) {
        let Some(next) = self.next.take() else { return };
        self.index.switch(Some(next.file.clone()));
        if let Some(old) = self.live.replace(next) {
            discard(&old.file.path);
        }
        tracing::info!("the search index was made again");
    }

    /// The index is of no use: another one begins.
    fn start_over(&mut self, reason: &SearchFault) {
        tracing::error!(%reason, "the search index is made again");
        self.index.switch(None);
        (self.live, self.next) = (None, None);
        index::paths(&self.path).iter().for_each(|path| discard(path));
    }
}

impl Projector for SqliteProjector {
    fn step(&mut self) -> Result<Step, LogError> {
        match self.try_step() {
            Err(fault @ SearchFault::Damaged(_)) => {
                self.start_over(&fault);
                Ok(self.try_step()?)
            }
            Err(fault) => {
                // What failed may have left anything in memory.
                for filling in [&mut self.live, &mut self.next].into_iter().flatten() {
                    filling.standing = None;
                }
                Err(fault.into())
            }
            Ok(step) => Ok(step),
        }
    }

    fn rebuild(&mut self) {
        self.rebuild = true;
    }

    fn poll(&self) -> Option<Duration> {
        None
    }
}

impl Filling {
    fn open(path: PathBuf) -> Result<Self, SearchFault> {
        let file = Arc::new(IndexFile::new(path));
        let connection = file.writer()?;
        let mut filling = Self { file, connection, standing: None };
        filling.begin()?;
        Ok(filling)
    }

    /// Says of a new file that there is nothing in it.
    fn begin(&mut self) -> Result<(), SearchFault> {
        let transaction = begin(&mut self.connection)?;
        let view = SqliteView::patient(&transaction, &transaction);
        if Meta::read(&view)?.is_none() {
            let mut changes = Changes::default();
            Meta::new(rand::random()).write(&mut changes);
            index::write(&transaction, &changes)?;
        }
        transaction.commit().map_err(of_index)
    }

    /// Where it stands; none where that has to be read.
    fn indexed(&self) -> Option<u64> {
        Some(self.standing.as_ref()?.meta.indexed)
    }

    /// Adds `written`, which are the next entries; where there are none, those that the log has.
    fn step(&mut self, log: &Connection, written: Vec<Following>) -> Result<Step, SearchFault> {
        let transaction = begin(&mut self.connection)?;
        let view = SqliteView::patient(&transaction, log);
        let standing = match &mut self.standing {
            Some(standing) => standing,
            none => {
                let meta = Meta::read(&view)?.ok_or_else(|| SearchFault::damaged("it is empty"))?;
                none.insert(Standing::read(&view, meta)?)
            }
        };
        let mut entries = written;
        if entries.is_empty() {
            entries = read(log, standing.meta.indexed).map_err(of_log)?;
        }
        let log_size = size(log).map_err(of_log)?.cast_unsigned();
        if entries.first().is_some_and(|entry| entry.index() != standing.meta.indexed) {
            entries = archived(&view, standing.meta.indexed)?;
        }
        if !entries.is_empty() {
            let changes = project(&view, standing, &entries)?;
            index::write(&transaction, &changes)?;
            transaction.commit().map_err(of_index)?;
        }
        let indexed = standing.meta.indexed;
        let progress = SearchProgress { log_size, indexed };
        Ok(Step { progress, added: entries.len() as u64, more: indexed < log_size })
    }
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, SearchFault> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(of_index)
}

/// The next entries of the log, from `first` on.
fn read(log: &Connection, first: u64) -> rusqlite::Result<Vec<Following>> {
    let read = entries(log, first.cast_signed(), STEP, STEP_BYTES)?;
    Ok(read.into_iter().map(Following::Read).collect())
}

/// The index that is there and has come furthest. One that is not of this log, or is damaged, goes.
fn find(path: &Path, log: &Connection) -> Result<Filling, SearchFault> {
    let mut best: Option<(u64, Filling)> = None;
    for path in index::paths(path) {
        if !path.exists() {
            continue;
        }
        match examine(&path, log) {
            Ok(Some((indexed, filling))) if best.as_ref().is_none_or(|(other, _)| *other < indexed) => {
                if let Some((_, other)) = best.replace((indexed, filling)) {
                    discard(&other.file.path);
                }
            }
            Ok(Some(_)) => discard(&path),
            Ok(None) => {
                tracing::warn!(path = %path.display(), "a search index is of another log and is made again");
                discard(&path);
            }
            Err(fault @ SearchFault::Damaged(_)) => {
                tracing::warn!(%fault, path = %path.display(), "a search index can not be read and is made again");
                discard(&path);
            }
            Err(fault) => return Err(fault),
        }
    }
    match best {
        Some((_, filling)) => Ok(filling),
        None => Filling::open(index::paths(path)[0].clone()),
    }
}

/// How far an index has come; `None` where its last entry is not that of the log.
fn examine(path: &Path, log: &Connection) -> Result<Option<(u64, Filling)>, SearchFault> {
    let mut filling = Filling::open(path.to_owned())?;
    let transaction = begin(&mut filling.connection)?;
    let view = SqliteView::patient(&transaction, log);
    let meta = Meta::read(&view)?.ok_or_else(|| SearchFault::damaged("it is empty"))?;
    let is_ours = match meta.indexed.checked_sub(1) {
        None => true,
        Some(last) => {
            let entry = view.entries(&[last])?.pop();
            entry.is_some_and(|entry| Digest::of(&entry.bytes) == meta.last)
        }
    };
    drop(transaction);
    Ok(is_ours.then_some((meta.indexed, filling)))
}

fn discard(path: &Path) {
    if let Err(error) = index::remove(path) {
        tracing::warn!(%error, path = %path.display(), "an old search index can not be deleted");
    }
}
