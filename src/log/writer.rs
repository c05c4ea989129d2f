//! The thread that owns the store.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::Guard;
use super::clock_watch::ClockWatch;
use super::heads::Heads;
use super::projector::Bell;
use crate::domain::{Entry, SignatureId, Timestamp};
use crate::metrics::Metrics;
use crate::ports::{LogError, Store, Writes, Written};

/// Who waits for an answer.
type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// What the writer is asked to do.
pub(super) enum Request {
    /// All of `writes` or none. Without `answer` for what nobody waits for.
    Write {
        writes: Box<Writes>,
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
    ForgetSessions {
        now: Timestamp,
        idle_since: Timestamp,
        answer: Answer<u64>,
    },
    DropArchived(Answer<u64>),
    Probe(Answer<()>),
    Close(Answer<()>),
}

/// Entries, and requests, of one commit, unless a single request has more entries.
const GROUP: usize = 1024;

/// What the thread works with.
pub(super) struct Work {
    pub(super) store: Box<dyn Store>,
    /// Shut where the store holds another log than it did.
    pub(super) guard: Guard,
    pub(super) heads: Heads,
    pub(super) clock: ClockWatch,
    /// Rung for who fills the search index.
    pub(super) bell: Bell,
    pub(super) metrics: Arc<Metrics>,
}

impl Work {
    /// Works until somebody asks to close or nobody can ask any more.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        self.clock = ClockWatch::after(self.last_time());
        let mut closing = Vec::new();
        while let Some(request) = requests.blocking_recv() {
            let mut group = Group::default();
            group.add(request);
            while !group.is_full()
                && let Ok(request) = requests.try_recv()
            {
                group.add(request);
            }
            group.commit(&mut self);
            if !group.closing.is_empty() {
                // What has been sent already is still worked off.
                requests.close();
                closing.append(&mut group.closing);
            }
        }
        if self.heads.has_unkept() {
            let _ = self.write(&mut Writes::default());
        }
        let closed = self.store.close();
        if let Err(error) = &closed {
            tracing::warn!(%error, "the log's store could not be tidied up");
        }
        for answer in closing {
            let _ = answer.send(closed.clone());
        }
    }

    /// Makes `writes` durable, and with them the checkpoint that waits for it.
    fn write(&mut self, writes: &mut Writes) -> Result<Written, LogError> {
        writes.checkpoint = self.heads.take_unkept();
        let entries = writes.entries.len();
        let start = Instant::now();
        let written = self.store.commit(writes);
        match &written {
            Ok(written) => {
                self.metrics.log_commit(entries, start.elapsed());
                self.heads.advance(written);
                self.clock.written(writes.entries.iter().map(|entry| entry.entry().time), &self.metrics);
                self.bell.ring();
            }
            Err(error) => {
                tracing::error!(%error, entries, "nothing was logged");
                if let Some(checkpoint) = writes.checkpoint.take() {
                    self.heads.keep(checkpoint);
                }
                self.shut_where_lost();
            }
        }
        written
    }

    /// When the last entry was written, as it says.
    fn last_time(&self) -> Option<Timestamp> {
        let last = self.heads.reached().head.size.checked_sub(1)?;
        let entry = self.store.reader().entry(last).ok()??;
        Some(serde_json::from_slice::<Entry>(&entry.bytes).ok()?.time)
    }

    fn shut_where_lost(&self) {
        if let Err(reason) = self.store.verdict() {
            self.guard.set(Err(reason));
        }
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
    openings: usize,
    entries: usize,
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
                    openings: writes.openings(),
                    entries: writes.entries.len(),
                    answer,
                });
                self.document_bytes += writes.document_bytes();
                self.writes.append(*writes);
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
    fn commit(&mut self, work: &mut Work) {
        if !self.members.is_empty() {
            let written = work.write(&mut self.writes);
            self.answer(written, &work.metrics);
        }
        for request in self.others.drain(..) {
            // Somebody who has gone away needs no answer.
            match request {
                Request::TakeDue { now, until, limit, answer } => {
                    drop(answer.send(work.store.take_due(now, until, limit)));
                }
                Request::Forget { before, answer } => drop(answer.send(work.store.forget(before))),
                Request::ForgetUses { before, answer } => drop(answer.send(work.store.forget_uses(before))),
                Request::ForgetSessions { now, idle_since, answer } => {
                    drop(answer.send(work.store.forget_sessions(now, idle_since)));
                }
                Request::DropArchived(answer) => drop(answer.send(work.store.drop_archived())),
                Request::Probe(answer) => {
                    let probed = work.store.probe();
                    if probed.is_err() {
                        work.shut_where_lost();
                    }
                    let _ = answer.send(probed);
                }
                Request::Write { .. } | Request::Close(_) => unreachable!("add keeps these elsewhere"),
            }
        }
    }

    /// Gives each member its own share.
    fn answer(&mut self, written: Result<Written, LogError>, metrics: &Metrics) {
        let mut shares = written.map(|Written { first, before, head, recalled, kept, taken, opened }| {
            let (recalled, kept) = (recalled.into_iter(), kept.into_iter());
            (first, before, head, recalled, kept, taken.into_iter(), opened.into_iter())
        });
        for member in self.members.drain(..) {
            let share = match &mut shares {
                Ok((first, before, head, recalled, kept, taken, opened)) => Ok(Written {
                    first: *first + member.offset as u64,
                    before: *before,
                    head: *head,
                    recalled: recalled.by_ref().take(member.bindings).collect(),
                    kept: kept.by_ref().take(member.answers).collect(),
                    taken: taken.by_ref().take(member.takings).collect(),
                    opened: opened.by_ref().take(member.openings).collect(),
                }),
                Err(error) => Err(error.clone()),
            };
            match member.answer {
                Some(answer) => drop(answer.send(share)),
                None if share.is_err() => {
                    let lost = &self.writes.entries[member.offset..][..member.entries];
                    let refusals = lost.iter().map(|entry| entry.entry().refusals());
                    metrics.refusals_dropped(refusals.clone().sum());
                    metrics.offers_dropped(refusals.filter(|refusals| *refusals == 0).count() as u64);
                }
                None => {}
            }
        }
    }
}
