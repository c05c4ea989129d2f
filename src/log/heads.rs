//! How far the log has come, between the writer and those who publish it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::ports::{SignedCheckpoint, Written};
use crate::tlog::TreeHead;

/// What the writer knows to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) head: TreeHead,
    /// How often another process has written in between: as long as it is the same, this process has seen each entry come
    /// behind the one before.
    pub(super) others: u64,
}

/// Shared by the writer and the checkpointer.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    reached: watch::Sender<Reached>,
    /// A checkpoint that was published and is not stored yet.
    unkept: Arc<Mutex<Option<SignedCheckpoint>>>,
}

impl Heads {
    pub(super) fn of(head: TreeHead) -> Self {
        Self { reached: watch::Sender::new(Reached { head, others: 0 }), unkept: Arc::default() }
    }

    pub(super) fn reached(&self) -> Reached {
        *self.reached.borrow()
    }

    /// A commit was durable.
    pub(super) fn advance(&self, written: &Written) {
        self.reached.send_modify(|reached| {
            let others = reached.others + u64::from(written.before != reached.head);
            *reached = Reached { head: written.head, others };
        });
    }

    /// Keeps `checkpoint` with the next commit, unless a larger one is waiting for that.
    pub(super) fn keep(&self, checkpoint: SignedCheckpoint) {
        let mut unkept = self.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        if unkept.as_ref().is_none_or(|other| other.head.size <= checkpoint.head.size) {
            *unkept = Some(checkpoint);
        }
    }

    /// What is to be kept with the commit that comes now. Where that fails, it is given back to [`Heads::keep`].
    pub(super) fn take_unkept(&self) -> Option<SignedCheckpoint> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn has_unkept(&self) -> bool {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}
