//! Which signatures share a call.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::failure::unavailable;
use super::group::{Form, GroupSigner};
use super::keys::TransitKey;
use crate::config::VaultConfig;
use crate::domain::{KeyName, KeyType, KeyVersion};
use crate::metrics::Metrics;
use crate::ports::{BatchMember, Signed, SignerError, SigningTask};

/// Gathers signatures of one key version into groups.
///
/// A group leaves where none of its key version is under way, with whoever joins in the same moment. Further groups, up to `max_in_flight`, leave once
/// [`Limit::enough`] wait, and what else arrives goes together when one is through: a call to Vault costs as much as several
/// signatures, so that many small groups would take from each other, and one alone would leave everybody idle while it
/// waits for the disk and for Vault. A group is under way until its outcomes are recorded, not only until Vault has answered: else
/// those who come meanwhile leave by twos and threes. There is no timer: a lone caller waits for nobody, and the groups grow with
/// the load by themselves.
pub(super) struct Batches {
    limit: Limit,
    max_in_flight: usize,
    /// For one call.
    timeout: Duration,
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

/// All that the members of a call have in common.
type QueueId = (KeyName, KeyVersion, Form);

/// Where someone waits, a group is under way, and as many as wait are not enough for another, or there may be no more.
#[derive(Default)]
struct Queue {
    under_way: usize,
    waiting: VecDeque<Member>,
}

/// What one call may hold. A single signature always fits.
#[derive(Clone, Copy)]
struct Limit {
    items: usize,
    bytes: usize,
    /// So many are a group while others are under way.
    enough: usize,
}

/// As measured with 64 and 256 callers: with fewer, calls take more of the processors than they fill of the waiting, and with more the
/// waiting is longer.
const ENOUGH: usize = 20;

/// Bytes of one item in a call's body beside its input, rounded up: the reference, and the names around both.
const ITEM_BYTES: usize = 52;

/// A group of RSA signatures takes one idle core of Vault this part of the time that a call has, so that a busy Vault
/// keeps the time too. Larger groups would gain nothing: beside such a signature, a call costs nothing.
const SHARE_OF_TIMEOUT: u32 = 20;

impl Batches {
    pub(super) fn new(config: &VaultConfig, groups: GroupSigner, metrics: Arc<Metrics>) -> Self {
        let batch = &config.batch;
        Self {
            limit: Limit { items: batch.max_items.max(1), bytes: batch.max_bytes, enough: ENOUGH },
            max_in_flight: batch.max_in_flight.max(1),
            timeout: config.request_timeout,
            groups,
            metrics,
            queues: Mutex::default(),
        }
    }

    /// Signs with the next groups; tasks of one key version share as few as their size allows, and the
    /// intents of a group are one commit. A caller that goes away while it waits is left out, and one that goes away
    /// later takes nobody with it.
    pub(super) async fn sign_all(
        self: &Arc<Self>,
        tasks: Vec<(Arc<TransitKey>, SigningTask)>,
    ) -> Vec<Result<Signed, SignerError>> {
        let mut joining: HashMap<QueueId, (Arc<TransitKey>, Vec<Member>)> = HashMap::new();
        let mut answers = Vec::with_capacity(tasks.len());
        for (key, task) in tasks {
            let (reply, answer) = oneshot::channel();
            let id = (task.key.clone(), task.version, Form::of(&task.input));
            let (_, members) = joining.entry(id).or_insert_with(|| (key, Vec::new()));
            members.push(Member { task, reply });
            answers.push(answer);
        }
        for (id, (key, members)) in joining {
            for group in self.join(&id, members, self.limit_of(&key)) {
                tokio::spawn(Arc::clone(self).run(Arc::clone(&key), id.clone(), group));
            }
        }
        // Who waits for several calls must not keep those waiting whose signatures came of one of them.
        let several = answers.len() > 1;
        let signed = answers.into_iter().map(async |answer| {
            let ended = |_| Err(unavailable("the signing call ended without an answer"));
            let signed = answer.await.unwrap_or_else(ended)?;
            let member = if several { BatchMember::alone() } else { signed.member };
            Ok(Signed { member, ..signed })
        });
        join_all(signed).await
    }

    /// Puts `members` into their queue; the groups that leave now; none for one that leaves in a moment.
    fn join(&self, id: &QueueId, members: Vec<Member>, limit: Limit) -> Vec<Option<Vec<Member>>> {
        let mut queues = self.queues();
        let queue = queues.entry(id.clone()).or_default();
        for member in members {
            self.metrics.signing_queue.inc();
            queue.waiting.push_back(member);
        }
        let mut groups = Vec::new();
        if queue.under_way == 0 && limit.enough > 1 {
            queue.under_way += 1;
            groups.push(None);
        }
        while queue.under_way < self.max_in_flight && queue.may_leave(limit) {
            let group = self.take(queue, limit);
            if group.is_empty() {
                break;
            }
            queue.under_way += 1;
            groups.push(Some(group));
        }
        groups
    }

    /// Sends `group`, or whoever has come a moment later, and then what has gathered meanwhile, until nothing has.
    async fn run(self: Arc<Self>, key: Arc<TransitKey>, id: QueueId, group: Option<Vec<Member>>) {
        if group.is_none() {
            // Those who were answered together come back together, and may join before the group leaves.
            yield_now().await;
        }
        let mut leaving = group.or_else(|| self.next(&id, self.limit_of(&key)));
        while let Some(group) = leaving {
            // A panic drops the group's replies, which its members notice. Those who wait for this
            // group's place must not pay for it.
            let signing = AssertUnwindSafe(self.groups.sign(&key, id.1, id.2, group)).catch_unwind();
            match signing.await {
                Ok(Some(end)) => end.wait().await,
                Ok(None) => {}
                Err(_) => {
                    tracing::error!(key = %id.0, version = %id.1, "a group of signatures ended in a panic");
                }
            }
            leaving = self.next(&id, self.limit_of(&key));
        }
    }

    /// The next group of a place that has become free. None gives the place back.
    fn next(&self, id: &QueueId, limit: Limit) -> Option<Vec<Member>> {
        let mut queues = self.queues();
        let queue = queues.get_mut(id)?;
        queue.under_way -= 1;
        if queue.may_leave(limit) {
            let group = self.take(queue, limit);
            if !group.is_empty() {
                queue.under_way += 1;
                return Some(group);
            }
        }
        if queue.under_way == 0 {
            queues.remove(id);
        }
        None
    }

    /// As many of those who wait as one call may hold, first come first served.
    fn take(&self, queue: &mut Queue, limit: Limit) -> Vec<Member> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(member) = queue.waiting.front() {
            // Of those who have gone, nobody would take the signature, and there is no intent yet.
            let gone = member.reply.is_closed();
            let size = member.bytes();
            let fits = group.is_empty() || group.len() < limit.items && bytes + size <= limit.bytes;
            if !gone && !fits {
                break;
            }
            self.metrics.signing_queue.dec();
            let member = queue.waiting.pop_front();
            if !gone {
                bytes += size;
                group.extend(member);
            }
        }
        group
    }

    fn limit_of(&self, key: &TransitKey) -> Limit {
        let Some(pace) = key.current().and_then(|known| signatures_per_second(&known.key_type)) else {
            return self.limit;
        };
        let span = self.timeout / SHARE_OF_TIMEOUT;
        let items = usize::try_from(u128::from(pace) * span.as_millis() / 1000).unwrap_or(usize::MAX);
        Limit { items: self.limit.items.min(items).max(1), enough: 1, ..self.limit }
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

impl Queue {
    /// Whether those who wait are a group now.
    fn may_leave(&self, limit: Limit) -> bool {
        self.under_way == 0 || self.waiting.len() >= limit.enough.min(limit.items)
    }
}

impl Member {
    /// Bytes in a call's body.
    fn bytes(&self) -> usize {
        self.task.input.len().div_ceil(3) * 4 + ITEM_BYTES
    }
}

/// What one core does in Vault, where that is so little that it bounds a call: as measured on a slow machine.
const fn signatures_per_second(key_type: &KeyType) -> Option<u32> {
    match key_type {
        KeyType::Rsa2048 => Some(700),
        KeyType::Rsa3072 => Some(220),
        KeyType::Rsa4096 => Some(98),
        KeyType::EcdsaP256
        | KeyType::EcdsaP384
        | KeyType::EcdsaP521
        | KeyType::Ed25519
        | KeyType::Unsupported(_) => None,
    }
}
