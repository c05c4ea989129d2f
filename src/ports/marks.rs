use async_trait::async_trait;

use super::LogError;
use crate::domain::Entry;

/// A fact beside the log, under a name: how far something has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub name: String,
    pub value: String,
}

/// Small facts that survive restarts, and that replicas share.
#[async_trait]
pub trait Marks: Send + Sync {
    /// The value of a mark; none where it was never set.
    async fn mark(&self, name: &str) -> Result<Option<String>, LogError>;

    /// Sets `mark` and appends `entries`, both or neither.
    async fn set_mark(&self, mark: Mark, entries: Vec<Entry>) -> Result<(), LogError>;
}
