use async_trait::async_trait;

use super::{DeliveryChange, SignaturesOf};
use crate::domain::{Entry, Record, SignatureId, SignatureIdentity, Signing};

/// An entry with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Counted from 0, without gaps.
    pub index: u64,
    /// The exact bytes that were committed: JSON in UTF-8.
    pub bytes: Vec<u8>,
}

impl LoggedEntry {
    /// What it says.
    ///
    /// # Errors
    /// Where the bytes are none of an entry.
    pub fn entry(&self) -> Result<Entry, LogError> {
        let unreadable = |error| LogError(format!("entry {} can not be read: {error}", self.index));
        serde_json::from_slice(&self.bytes).map_err(unreadable)
    }
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

    /// Every signature of `of`, whatever became of it after it was made. In the order in which they were made.
    async fn signed(&self, of: SignaturesOf) -> Result<Vec<Signing>, LogError>;

    /// Whether an entry could be made durable now.
    async fn ready(&self) -> Result<(), LogError>;
}

/// The log can not be written or read. The text is for our log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signing log is not available: {0}")]
pub struct LogError(pub String);
