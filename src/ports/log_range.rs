use async_trait::async_trait;

use super::{LogError, LoggedEntry};

/// Which entries the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// The lowest index that is there: all below are archived.
    pub first: u64,
    /// The size of the log: the index behind the last.
    pub size: u64,
}

/// The log from its beginning to its end, without a search.
#[async_trait]
pub trait LogRange: Send + Sync {
    async fn extent(&self) -> Result<Extent, LogError>;

    /// Entries from `first` on, in their order and without gaps: at most `limit`, fewer where they are large, and at least one
    /// where the store holds `first`. None where it does not.
    async fn range(&self, first: u64, limit: usize) -> Result<Vec<LoggedEntry>, LogError>;
}
