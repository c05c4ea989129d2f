use async_trait::async_trait;

use super::LogError;
use crate::domain::{Content, Entry, SignatureId, Timestamp};

/// A signature on its way to its registry. It is durable together with the outcome that it belongs to, and
/// stays until it has been seen in the registry for the last time, or was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The outcome: what was signed, and the signature.
    pub entry: Entry,
    /// Its index in the log.
    pub index: u64,
    pub parcel: Parcel,
    pub stage: Stage,
    /// Failed attempts of this stage.
    pub attempts: u32,
    /// When somebody is to work on it next.
    pub due: Timestamp,
}

/// What the registry gets beside the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The document that was signed (for a statement: without its DSSE encoding).
    pub document: Content,
    /// Whether other attestations of the same predicate type and key give way.
    pub replace: bool,
}

impl Parcel {
    /// Bytes of one document.
    pub const MAX_BYTES: usize = 24 * 1024 * 1024;
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// To be attached.
    Attach,
    /// Attached, and to be looked at again: for the first time (0), the second, and so on.
    LookAgain(u8),
}

/// A change of the outbox, durable together with the entries of the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryChange {
    /// A new delivery.
    Add {
        /// Which entry of the commit holds the outcome, counted from 0.
        entry: usize,
        parcel: Parcel,
        due: Timestamp,
    },
    /// On with it, later. Nothing where the delivery is settled already.
    Postpone { id: SignatureId, stage: Stage, attempts: u32, due: Timestamp },
    /// Nothing more is to be done.
    Settle { id: SignatureId },
}

/// Signatures on their way.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Deliveries that are due at `now`, the longest due first, at most `limit`, and fewer where their documents
    /// are large. Each is put off until `until` in the same moment, so that nobody else takes it meanwhile, and somebody does if we never come back.
    async fn take_due(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, LogError>;

    /// One delivery; none where it is settled.
    async fn delivery(&self, id: SignatureId) -> Result<Option<Delivery>, LogError>;

    /// How many deliveries there are: to be attached, and to be looked at again.
    async fn waiting(&self) -> Result<Waiting, LogError>;
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    pub attach: u64,
    pub look_again: u64,
}
