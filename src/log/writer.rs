//! The thread that owns the store.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::metrics::Metrics;
use crate::ports::{EntryStore, LogError, NewEntry};

/// Who waits for an answer.
type Answer<T> = oneshot::Sender<Result<T, LogError>>;

/// What the writer is asked to do.
pub(super) enum Request {
    /// All of `entries` or none. Without `answer` for what nobody waits for.
    Append {
        entries: Vec<NewEntry>,
        answer: Option<Answer<u64>>,
    },
    Probe(Answer<()>),
    Close(Answer<()>),
}

/// Entries of one commit, unless a single request has more.
const GROUP: usize = 1024;

/// Works until somebody asks to close or nobody can ask any more.
pub(super) fn run(mut store: impl EntryStore, mut requests: mpsc::Receiver<Request>, metrics: &Metrics) {
    let mut closing = Vec::new();
    while let Some(request) = requests.blocking_recv() {
        let mut group = Group::default();
        group.add(request);
        while group.entries.len() < GROUP
            && let Ok(request) = requests.try_recv()
        {
            group.add(request);
        }
        group.commit(&mut store, metrics);
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
    entries: Vec<NewEntry>,
    /// Each with the place of its first entry.
    appends: Vec<(usize, Option<Answer<u64>>)>,
    probes: Vec<Answer<()>>,
    closing: Vec<Answer<()>>,
}

impl Group {
    fn add(&mut self, request: Request) {
        match request {
            Request::Append { mut entries, answer } => {
                self.appends.push((self.entries.len(), answer));
                self.entries.append(&mut entries);
            }
            Request::Probe(answer) => self.probes.push(answer),
            Request::Close(answer) => self.closing.push(answer),
        }
    }

    /// Makes the entries durable, then answers.
    fn commit(&mut self, store: &mut impl EntryStore, metrics: &Metrics) {
        if !self.appends.is_empty() {
            let start = Instant::now();
            let first = store.append(&self.entries);
            match &first {
                Ok(_) => metrics.log_commit(self.entries.len(), start.elapsed()),
                Err(error) => tracing::error!(%error, entries = self.entries.len(), "nothing was logged"),
            }
            for (offset, answer) in self.appends.drain(..) {
                match answer {
                    // Somebody who has gone away needs no answer.
                    Some(answer) => drop(answer.send(first.clone().map(|first| first + offset as u64))),
                    None if first.is_err() => metrics.refusal_dropped(),
                    None => {}
                }
            }
        }
        if !self.probes.is_empty() {
            let probed = store.probe();
            for answer in self.probes.drain(..) {
                let _ = answer.send(probed.clone());
            }
        }
    }
}
