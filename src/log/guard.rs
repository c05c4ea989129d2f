//! Whether the log may be written at all.

use std::sync::{Arc, PoisonError, RwLock};

use crate::ports::LogError;

/// A door in front of the writer. It is shut until everything that has to be known about the log is known, and for good
/// once something says that it is not the log that it was.
#[derive(Debug, Clone)]
pub struct Guard(Arc<RwLock<Door>>);

#[derive(Debug)]
enum Door {
    Open,
    /// Until something is known.
    Held(LogError),
    /// For good.
    Shut(LogError),
}

impl Guard {
    /// A door that stands open.
    pub fn open() -> Self {
        Self(Arc::new(RwLock::new(Door::Open)))
    }

    /// A door that is shut until [`Guard::set`] opens it, and why, in a sentence for the operator.
    pub fn shut(reason: impl Into<String>) -> Self {
        Self(Arc::new(RwLock::new(Door::Held(LogError(reason.into())))))
    }

    /// From now on, entries may be written (`Ok`), or may not, for good: nothing opens the door then.
    pub fn set(&self, state: Result<(), LogError>) {
        let mut door = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*door, Door::Shut(_)) {
            *door = state.map_or_else(Door::Shut, |()| Door::Open);
        }
    }

    /// The reason why a door is still shut is another than was said; one that is open, or shut for good, stays so.
    pub fn hold(&self, reason: impl Into<String>) {
        let mut door = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Door::Held(LogError(said)) = &mut *door {
            *said = reason.into();
        }
    }

    /// # Errors
    /// Where entries may not be written.
    pub fn check(&self) -> Result<(), LogError> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Door::Open => Ok(()),
            Door::Held(reason) | Door::Shut(reason) => Err(reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(guard: &Guard) -> String {
        guard.check().map_or_else(|LogError(reason)| reason, |()| "open".to_owned())
    }

    #[test]
    fn a_door_that_was_shut_for_good_is_not_opened_by_what_comes_to_be_known_later() {
        let guard = Guard::shut("nobody knows yet");
        guard.hold("Vault is sealed");
        assert_eq!(reason(&guard), "Vault is sealed");
        guard.set(Err(LogError("it is damaged".to_owned())));
        guard.set(Ok(()));
        guard.hold("Vault is sealed");
        assert_eq!(reason(&guard), "it is damaged");
    }

    #[test]
    fn a_door_that_is_open_is_not_held() {
        let guard = Guard::shut("nobody knows yet");
        guard.set(Ok(()));
        guard.hold("Vault is sealed");
        assert_eq!(reason(&guard), "open");
    }
}
