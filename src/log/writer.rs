//! The thread that owns the store.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::projector::Bell;
use crate::domain::{SignatureId, Timestamp};
use crate::metrics::Metrics;
use crate::ports::{LogError, Store, Writes, Written};

/// Who waits for an answer.
type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// What the writer is asked to do.
pub(super) enum Request {
    /// All of `writes` or none. Without `answer` for what nobody waits for.
    Write {
        writes: Writes,
        answer: Option<Answer<Written>>,
    },
    TakeDue {
        now: Timestamp,
        until: Timestamp,
        limit: usize,
        answer: Answer<Vec<SignatureId>>,
    },
    Forget {
        before: Timestamp,
        answer: Answer<u64>,
    },
    ForgetUses {
        before: Timestamp,
        answer: Answer<u64>,
    },
    Probe(Answer<()>),
    Close(Answer<()>),
}

/// Entries, and requests, of one commit, unless a single request has more entries.
const GROUP: usize = 1024;

/// Works until somebody asks to close or nobody can ask any more.
pub(super) fn run(
    mut store: Box<dyn Store>,
    mut requests: mpsc::Receiver<Request>,
    metrics: &Metrics,
    bell: &Bell,
) {
    let mut closing = Vec::new();
    while let Some(request) = requests.blocking_recv() {
        let mut group = Group::default();
        group.add(request);
        while !group.is_full()
            && let Ok(request) = requests.try_recv()
        {
            group.add(request);
        }
        group.commit(&mut *store, metrics, bell);
        if !group.closing.is_empty() {
            // What has been sent already is still worked off.
            requests.close();
            closing.append(&mut group.closing);
        }
    }
    let closed = store.close();
    if let Err(error) = &closed {
        tracing::warn!(%error, "the log's store could not be tidied up");
    }
    for answer in closing {
        let _ = answer.send(closed.clone());
    }
}

/// What waited for the writer at one moment.
#[derive(Default)]
struct Group {
    writes: Writes,
    document_bytes: usize,
    members: Vec<Member>,
    /// What has a transaction of its own, after the common one.
    others: Vec<Request>,
    closing: Vec<Answer<()>>,
}

/// One request's share of the common transaction.
struct Member {
    /// The place of its first entry.
    offset: usize,
    bindings: usize,
    answers: usize,
    takings: usize,
    /// Refusals of which its entries tell.
    refusals: u64,
    answer: Option<Answer<Written>>,
}

impl Group {
    fn add(&mut self, request: Request) {
        match request {
            Request::Write { writes, answer } => {
                self.members.push(Member {
                    offset: self.writes.entries.len(),
                    bindings: writes.bindings.len(),
                    answers: writes.answers.len(),
                    takings: writes.takings.len(),
                    refusals: writes.entries.iter().map(|entry| entry.entry().refusals()).sum(),
                    answer,
                });
                self.document_bytes += writes.document_bytes();
                self.writes.append(writes);
            }
            Request::Close(answer) => self.closing.push(answer),
            other => self.others.push(other),
        }
    }

    fn is_full(&self) -> bool {
        self.writes.entries.len() >= GROUP
            || self.members.len() >= GROUP
            || self.document_bytes >= Writes::DOCUMENT_BYTES
    }

    /// Makes the writes durable, then answers.
    fn commit(&mut self, store: &mut dyn Store, metrics: &Metrics, bell: &Bell) {
        if !self.members.is_empty() {
            let entries = self.writes.entries.len();
            let start = Instant::now();
            let written = store.commit(&self.writes);
            match &written {
                Ok(_) => {
                    metrics.log_commit(entries, start.elapsed());
                    bell.ring();
                }
                Err(error) => tracing::error!(%error, entries, "nothing was logged"),
            }
            self.answer(written, metrics);
        }
        for request in self.others.drain(..) {
            // Somebody who has gone away needs no answer.
            match request {
                Request::TakeDue { now, until, limit, answer } => {
                    drop(answer.send(store.take_due(now, until, limit)));
                }
                Request::Forget { before, answer } => drop(answer.send(store.forget(before))),
                Request::ForgetUses { before, answer } => drop(answer.send(store.forget_uses(before))),
                Request::Probe(answer) => drop(answer.send(store.probe())),
                Request::Write { .. } | Request::Close(_) => unreachable!("add keeps these elsewhere"),
            }
        }
    }

    /// Gives each member its own share.
    fn answer(&mut self, written: Result<Written, LogError>, metrics: &Metrics) {
        let mut shares = written.map(|Written { first, before, head, recalled, kept, taken }| {
            (first, before, head, recalled.into_iter(), kept.into_iter(), taken.into_iter())
        });
        for member in self.members.drain(..) {
            let share = match &mut shares {
                Ok((first, before, head, recalled, kept, taken)) => Ok(Written {
                    first: *first + member.offset as u64,
                    before: *before,
                    head: *head,
                    recalled: recalled.by_ref().take(member.bindings).collect(),
                    kept: kept.by_ref().take(member.answers).collect(),
                    taken: taken.by_ref().take(member.takings).collect(),
                }),
                Err(error) => Err(error.clone()),
            };
            match member.answer {
                Some(answer) => drop(answer.send(share)),
                None if share.is_err() => metrics.refusals_dropped(member.refusals),
                None => {}
            }
        }
    }
}
