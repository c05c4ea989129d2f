use std::sync::Arc;

use super::{EntryPage, EntryQuery, LogError, LoggedEntry};
use crate::domain::{Entry, SignatureId, SignatureIdentity};

/// An entry on its way into the log, with the exact bytes that will be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    entry: Entry,
    bytes: Vec<u8>,
}

/// Where the log's entries are kept: the writing half. It blocks, and it is owned by the log's
/// writer thread, so that a store has one writer and needs no locks of its own.
pub trait EntryStore: Send {
    /// Appends `entries` in one transaction, after what the store holds, and returns the index of the
    /// first once all are durable: they survive the loss of power. Indexes count from 0, without gaps.
    ///
    /// # Errors
    /// Where they are not durable. Then readers see none of them, and the next call begins afresh.
    fn append(&mut self, entries: &[NewEntry]) -> Result<u64, LogError>;

    /// Makes something durable that is no entry.
    ///
    /// # Errors
    /// What [`EntryStore::append`] would meet.
    fn probe(&mut self) -> Result<(), LogError>;

    /// Leaves the store in its tidiest state. Nothing is appended afterwards.
    ///
    /// # Errors
    /// Where it could not be tidied up; what was appended is durable all the same.
    fn close(&mut self) -> Result<(), LogError>;

    /// The reading half, for any number of threads.
    fn reader(&self) -> Arc<dyn EntryReader>;
}

/// The reading half of an [`EntryStore`]. It blocks. Each answer is of one moment, at which every entry
/// that [`EntryStore::append`] has returned is seen.
pub trait EntryReader: Send + Sync {
    fn entry(&self, index: u64) -> Result<Option<LoggedEntry>, LogError>;

    /// At most [`EntryQuery::MAX_LIMIT`] entries, and fewer where they are large.
    fn query(&self, query: &EntryQuery) -> Result<EntryPage, LogError>;

    /// All entries of one signature, oldest first.
    fn of_signature(&self, id: SignatureId) -> Result<Vec<LoggedEntry>, LogError>;

    /// All entries of the newest signature of this identity, oldest first.
    fn of_identity(&self, identity: SignatureIdentity) -> Result<Vec<LoggedEntry>, LogError>;
}

impl NewEntry {
    /// Bytes of one entry. Bundles of entries carry lengths in 16 bits.
    /// <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md#log-entries>
    pub const MAX_BYTES: usize = 65_535;

    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl TryFrom<Entry> for NewEntry {
    type Error = LogError;

    /// # Errors
    /// Where the entry has more than [`NewEntry::MAX_BYTES`].
    fn try_from(entry: Entry) -> Result<Self, LogError> {
        let bytes = entry.to_bytes();
        if bytes.len() > Self::MAX_BYTES {
            return Err(LogError(format!(
                "an entry has at most {} bytes, this one has {}",
                Self::MAX_BYTES,
                bytes.len()
            )));
        }
        Ok(Self { entry, bytes })
    }
}
