use async_trait::async_trait;

/// A checkpoint that is kept elsewhere than the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchored {
    /// The signed note.
    pub note: String,
    /// Of what is kept, as the keeper counts.
    pub version: u64,
}

/// A place outside the log's database for its newest checkpoint, so that a database that lost entries is found out.
#[async_trait]
pub trait Anchor: Send + Sync {
    /// What is kept; none where nothing was ever.
    ///
    /// # Errors
    /// Where that can not be told.
    async fn read(&self) -> Result<Option<Anchored>, AnchorError>;

    /// Keeps `note` in the place of what has the version `before`; 0 where nothing was kept. The version from then on.
    ///
    /// # Errors
    /// [`AnchorError::Changed`] where something else is kept by now.
    async fn replace(&self, before: u64, note: &str) -> Result<u64, AnchorError>;
}

/// The texts are for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    #[error("another one was written meanwhile")]
    Changed,
    #[error("{0}")]
    Unavailable(String),
}
