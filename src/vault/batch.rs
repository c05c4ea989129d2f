//! Which signatures share a call.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::sync::oneshot;

use super::failure::unavailable;
use super::group::GroupSigner;
use super::keys::TransitKey;
use crate::config::BatchConfig;
use crate::domain::{KeyName, KeyVersion};
use crate::metrics::Metrics;
use crate::ports::{Signed, SignerError, SigningTask};

/// Gathers signatures of one key version into groups.
///
/// A group leaves at once while fewer than `max_in_flight` groups of its key version are under
/// way. What arrives meanwhile goes together, when the next of them comes back. There is no
/// timer: a lone caller waits for nobody, and the groups grow with the load by themselves.
pub(super) struct Batches {
    group_size: usize,
    max_in_flight: usize,
    groups: GroupSigner,
    metrics: Arc<Metrics>,
    /// Only of key versions that have groups under way, so that versions of the past leave nothing behind.
    queues: Mutex<HashMap<QueueId, Queue>>,
}

/// Somebody who waits for a signature.
pub(super) struct Member {
    pub(super) task: SigningTask,
    pub(super) reply: oneshot::Sender<Result<Signed, SignerError>>,
}

type QueueId = (KeyName, KeyVersion);

/// Where someone waits, `max_in_flight` groups are under way.
#[derive(Default)]
struct Queue {
    under_way: usize,
    waiting: VecDeque<Member>,
}

/// Bytes of one item in a call's body, rounded up: 44 of base64, the reference, and the names around them.
const ITEM_BYTES: usize = 96;

impl Batches {
    pub(super) fn new(config: &BatchConfig, groups: GroupSigner, metrics: Arc<Metrics>) -> Self {
        Self {
            group_size: config.max_items.min(config.max_bytes / ITEM_BYTES).max(1),
            max_in_flight: config.max_in_flight.max(1),
            groups,
            metrics,
            queues: Mutex::default(),
        }
    }

    /// Signs with the next group. A caller that goes away while it waits is left out, and one that
    /// goes away later takes nobody with it.
    pub(super) async fn sign(
        self: &Arc<Self>,
        key: &Arc<TransitKey>,
        task: SigningTask,
    ) -> Result<Signed, SignerError> {
        let id = (task.key.clone(), task.version);
        let (reply, answer) = oneshot::channel();
        if let Some(group) = self.join(&id, Member { task, reply }) {
            tokio::spawn(Arc::clone(self).run(Arc::clone(key), id, group));
        }
        answer.await.unwrap_or_else(|_| Err(unavailable("the signing call ended without an answer")))
    }

    /// Puts `member` into its queue; the group that can leave now, where one can.
    fn join(&self, id: &QueueId, member: Member) -> Option<Vec<Member>> {
        let mut queues = self.queues();
        let queue = queues.entry(id.clone()).or_default();
        if queue.under_way < self.max_in_flight {
            queue.under_way += 1;
            return Some(vec![member]);
        }
        queue.waiting.push_back(member);
        self.metrics.signing_queue.inc();
        None
    }

    /// Sends `group`, and then what has gathered meanwhile, until nothing has.
    async fn run(self: Arc<Self>, key: Arc<TransitKey>, id: QueueId, mut group: Vec<Member>) {
        loop {
            // A panic drops the group's replies, which its members notice. Those who wait for this
            // group's place must not pay for it.
            let signing = AssertUnwindSafe(self.groups.sign(&key, id.1, group)).catch_unwind();
            if signing.await.is_err() {
                tracing::error!(key = %id.0, version = %id.1, "a group of signatures ended in a panic");
            }
            match self.next(&id) {
                Some(next) => group = next,
                None => return,
            }
        }
    }

    /// The next group of a place that has become free. None gives the place back.
    fn next(&self, id: &QueueId) -> Option<Vec<Member>> {
        let mut queues = self.queues();
        let queue = queues.get_mut(id)?;
        let mut group = Vec::with_capacity(queue.waiting.len().min(self.group_size));
        while group.len() < self.group_size
            && let Some(member) = queue.waiting.pop_front()
        {
            self.metrics.signing_queue.dec();
            // Nobody would take the signature, and there is no intent yet.
            if !member.reply.is_closed() {
                group.push(member);
            }
        }
        if !group.is_empty() {
            return Some(group);
        }
        queue.under_way -= 1;
        if queue.under_way == 0 {
            queues.remove(id);
        }
        None
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<QueueId, Queue>> {
        // Nothing in here panics halfway through a change.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Key versions that have groups under way.
    #[cfg(test)]
    pub(super) fn active(&self) -> usize {
        self.queues().len()
    }
}
