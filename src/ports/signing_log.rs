use async_trait::async_trait;

use super::DeliveryChange;
use crate::domain::{Entry, EntryFilter, Record, SignatureId, SignatureIdentity};

/// An entry with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Counted from 0, without gaps.
    pub index: u64,
    /// The exact bytes that were committed: JSON in UTF-8.
    pub bytes: Vec<u8>,
}

/// What an auditor asks, page by page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryQuery {
    pub filter: EntryFilter,
    /// Entries after this index.
    pub after: Option<u64>,
    /// Entries below this index: the size of the log at the first page, so that pages are stable.
    pub size: Option<u64>,
    /// At most so many entries, and at most [`EntryQuery::MAX_LIMIT`].
    pub limit: usize,
}

impl EntryQuery {
    /// Entries of one page.
    pub const MAX_LIMIT: usize = 1000;
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPage {
    /// In the order of their indexes.
    pub entries: Vec<LoggedEntry>,
    /// The size of the log that the page speaks of.
    pub size: u64,
    /// Whether more entries below `size` may follow.
    pub more: bool,
}

/// The record of everything that was signed, append-only.
#[async_trait]
pub trait SigningLog: Send + Sync {
    /// Appends `entries` in their order and returns the index of the first, once all are durable.
    /// Either all are in the log or none is.
    ///
    /// # Errors
    /// Where they could not be made durable, or one of them is larger than an entry may be. Nothing may be
    /// signed or released then.
    async fn append(&self, entries: Vec<Entry>) -> Result<u64, LogError> {
        self.commit(entries, Vec::new()).await
    }

    /// [`SigningLog::append`], and in the same transaction `changes` of the outbox.
    ///
    /// # Errors
    /// As there; then neither entries nor changes are durable.
    async fn commit(&self, entries: Vec<Entry>, changes: Vec<DeliveryChange>) -> Result<u64, LogError>;

    /// Appends when there is room, without waiting: for what nobody's answer depends on, as refusals and readings. What
    /// is left out is counted.
    fn offer(&self, entry: Entry);

    /// The newest record of a signature of this identity.
    async fn find(&self, identity: SignatureIdentity) -> Result<Option<Record>, LogError>;

    /// The record of one signature, whatever became of it; none where no entry speaks of it.
    async fn record(&self, id: SignatureId) -> Result<Option<Record>, LogError>;

    async fn entry(&self, index: u64) -> Result<Option<LoggedEntry>, LogError>;

    async fn query(&self, query: EntryQuery) -> Result<EntryPage, LogError>;

    /// Whether an entry could be made durable now.
    async fn ready(&self) -> Result<(), LogError>;
}

/// The log can not be written or read. The text is for our log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signing log is not available: {0}")]
pub struct LogError(pub String);
