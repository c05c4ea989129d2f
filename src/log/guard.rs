//! Whether the log may be written at all.

use std::sync::{Arc, PoisonError, RwLock};

use crate::ports::LogError;

/// A door in front of the writer. It is shut until everything that has to be known about the log is known, and for good
/// once something says that it is not the log that it was.
#[derive(Debug, Clone)]
pub struct Guard(Arc<RwLock<Result<(), LogError>>>);

impl Guard {
    /// A door that stands open.
    pub fn open() -> Self {
        Self(Arc::new(RwLock::new(Ok(()))))
    }

    /// A door that is shut, and why, in a sentence for the operator.
    pub fn shut(reason: impl Into<String>) -> Self {
        Self(Arc::new(RwLock::new(Err(LogError(reason.into())))))
    }

    /// From now on, entries may be written (`Ok`), or may not.
    pub fn set(&self, state: Result<(), LogError>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// # Errors
    /// Where entries may not be written.
    pub fn check(&self) -> Result<(), LogError> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
