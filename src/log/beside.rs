//! What is asked of the log besides its entries one by one: ranges, marks, and what is archived.

use async_trait::async_trait;

use super::GroupCommitLog;
use super::writer::Request;
use crate::domain::Entry;
use crate::ports::{Extent, LogError, LogRange, LoggedEntry, Mark, Marks, NewEntry, Writes};

#[async_trait]
impl LogRange for GroupCommitLog {
    async fn extent(&self) -> Result<Extent, LogError> {
        self.read(&self.lookups, |reader| reader.extent()).await
    }

    async fn range(&self, first: u64, limit: usize) -> Result<Vec<LoggedEntry>, LogError> {
        let entries = self.read(&self.queries, move |reader| reader.entries(first, limit)).await?;
        // Where the first is archived, what follows is not what was asked for.
        Ok(if entries.first().is_some_and(|entry| entry.index == first) { entries } else { Vec::new() })
    }
}

#[async_trait]
impl Marks for GroupCommitLog {
    async fn mark(&self, name: &str) -> Result<Option<String>, LogError> {
        let name = name.to_owned();
        self.read(&self.lookups, move |reader| reader.mark(&name)).await
    }

    async fn set_mark(&self, mark: Mark, entries: Vec<Entry>) -> Result<(), LogError> {
        let marks = vec![mark];
        self.write_entries(entries, Writes { marks, ..Writes::default() }).await
    }
}

impl GroupCommitLog {
    /// Appends `entries` together with `writes`, which has none.
    ///
    /// # Errors
    /// As [`crate::ports::SigningLog::append`]; then nothing of both is durable.
    pub(super) async fn write_entries(&self, entries: Vec<Entry>, writes: Writes) -> Result<(), LogError> {
        if !entries.is_empty() {
            self.guard.check()?;
        }
        let entries = entries.into_iter().map(NewEntry::try_from).collect::<Result<_, _>>()?;
        self.write(Writes { entries, ..writes }).await.map(drop)
    }

    /// Drops what is archived and still there, until nothing is left of it.
    pub(super) async fn drop_archived(&self) -> Result<u64, LogError> {
        self.ask_until_none(Request::DropArchived).await
    }

    /// The lowest index that an open delivery speaks of.
    pub(super) async fn first_open(&self) -> Result<Option<u64>, LogError> {
        self.read(&self.lookups, |reader| reader.first_open()).await
    }
}
