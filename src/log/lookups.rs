//! Signatures that requests look up, many in one question.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::group_commit::record;
use crate::domain::{Record, SignatureIdentity};
use crate::ports::{LogError, StoreReader};

/// Looks up what requests want before it is made. A question leaves at once where none is under way, and beside one once
/// [`Lookups::ENOUGH`] wait; who comes meanwhile shares the next one. There is no timer: a lone caller waits for nobody, and under load a look-up
/// costs a small part of a question.
pub(super) struct Lookups {
    reader: Arc<dyn StoreReader>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    under_way: usize,
    waiting: Vec<Waiter>,
}

struct Waiter {
    identity: SignatureIdentity,
    answer: oneshot::Sender<Result<Option<Record>, LogError>>,
}

impl Lookups {
    /// Questions that are under way at once: while one waits for the disk, another goes on.
    pub(super) const AT_ONCE: usize = 2;

    /// Beside a question that is under way, so many are worth another.
    const ENOUGH: usize = 16;

    /// Signatures of one question.
    const MOST: usize = 256;

    pub(super) fn over(reader: Arc<dyn StoreReader>) -> Arc<Self> {
        Arc::new(Self { reader, queue: Mutex::default() })
    }

    /// What the log has of the newest signature of this identity.
    pub(super) async fn find(
        self: &Arc<Self>,
        identity: SignatureIdentity,
    ) -> Result<Option<Record>, LogError> {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut queue = self.queue();
            queue.waiting.push(Waiter { identity, answer });
            let begins = queue.under_way == 0
                || queue.under_way < Self::AT_ONCE && queue.waiting.len() >= Self::ENOUGH;
            queue.under_way += usize::from(begins);
            begins
        };
        if begins {
            let this = Arc::clone(self);
            tokio::task::spawn_blocking(move || this.ask_until_none_waits());
        }
        answered.await.map_err(|_| LogError("reading ended early".to_owned()))?
    }

    fn ask_until_none_waits(&self) {
        while let Some(group) = self.next() {
            // A panic drops the answers, which those who wait notice; those who come later must not pay for it.
            let asked = std::panic::catch_unwind(AssertUnwindSafe(|| self.ask(group)));
            if asked.is_err() {
                tracing::error!("a look-up in the log ended in a panic");
            }
        }
    }

    /// Who shares the next question. None gives the question's place back.
    fn next(&self) -> Option<Vec<Waiter>> {
        let mut queue = self.queue();
        // Nobody would take the answer of those who have gone.
        queue.waiting.retain(|waiter| !waiter.answer.is_closed());
        let most = queue.waiting.len().min(Self::MOST);
        let group: Vec<_> = queue.waiting.drain(..most).collect();
        if group.is_empty() {
            queue.under_way -= 1;
            return None;
        }
        Some(group)
    }

    fn ask(&self, group: Vec<Waiter>) {
        let identities: Vec<_> = group.iter().map(|waiter| waiter.identity).collect();
        match self.reader.of_identities(&identities) {
            Ok(found) => {
                for (waiter, entries) in group.into_iter().zip(found) {
                    // Who has gone meanwhile needs no answer.
                    let _ = waiter.answer.send(record(&entries));
                }
            }
            Err(error) => {
                for waiter in group {
                    let _ = waiter.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here panics halfway through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
