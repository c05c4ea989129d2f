//! The [`SigningLog`], and what else has to be durable, over a [`Store`].

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::Guard;
use super::clock_watch::ClockWatch;
use super::heads::Heads;
use super::lookups::Lookups;
use super::projector::{Bell, ProjectorThread};
use super::writer::{self, Request};
use crate::domain::{Entry, Event, Outcome, Record, SignatureId, SignatureIdentity, Signing};
use crate::metrics::Metrics;
use crate::ports::{
    DeliveryChange, LogError, LoggedEntry, NewEntry, Parcel, SignaturesOf, SigningLog, Store, StoreReader,
    Writes, Written,
};

/// A log with one writer thread that commits everything that waits in one transaction: entries with the changes
/// of the outbox, callers' idempotency keys and their answers, public keys that are kept, uses of budgets, and sessions.
///
/// Nobody waits on a timer: a commit begins when something waits and the one before has ended.
/// What was sent is committed even where the caller does not wait for the answer any more.
/// Dropping the log commits what waits, tidies the store up and joins the thread.
pub struct GroupCommitLog {
    requests: mpsc::Sender<Request>,
    writer: Option<JoinHandle<()>>,
    projector: Option<ProjectorThread>,
    /// Taken when dropped, so that the projector's thread ends.
    pub(super) bell: Option<Bell>,
    reader: Arc<dyn StoreReader>,
    /// Signatures by what they say, which every request asks for.
    signatures: Arc<Lookups>,
    /// Answers of one entry, signature or delivery being read at once.
    pub(super) lookups: Arc<Semaphore>,
    /// Pages being read at once, counted apart: a slow question must not hold a signature up.
    pub(super) queries: Arc<Semaphore>,
    readiness: Mutex<Option<(Instant, Result<(), LogError>)>>,
    pub(super) guard: Guard,
    pub(super) heads: Heads,
    metrics: Arc<Metrics>,
}

impl GroupCommitLog {
    /// Appends that may wait for the writer. Beyond, [`SigningLog::append`] waits and
    /// [`SigningLog::offer`] drops.
    pub const WAITING: usize = 1024;

    /// How long an answer about readiness counts.
    const READINESS: Duration = Duration::from_secs(1);

    /// Starts the writer's thread, which owns `store` from now on, and the one of the search index behind it. Entries are
    /// taken where `guard` lets them; it is shut where the store turns out to hold another log than it did.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(store: Box<dyn Store>, guard: Guard, metrics: Arc<Metrics>) -> Result<Self, LogError> {
        let reader = store.reader();
        let queries = (reader.width() / 3).max(1);
        let lookups = reader.width().saturating_sub(queries + Lookups::AT_ONCE).max(1);
        let (requests, waiting) = mpsc::channel(Self::WAITING);
        let (projector, bell) = ProjectorThread::start(store.projector(), metrics.clone())?;
        let heads = Heads::of(store.head());
        let work = writer::Work {
            store,
            guard: guard.clone(),
            heads: heads.clone(),
            clock: ClockWatch::default(),
            bell: bell.clone(),
            metrics: Arc::clone(&metrics),
        };
        let writer = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || work.run(waiting))
            .map_err(|error| LogError(format!("no thread for the writer: {error}")))?;
        Ok(Self {
            requests,
            writer: Some(writer),
            projector: Some(projector),
            bell: Some(bell),
            signatures: Lookups::over(Arc::clone(&reader)),
            reader,
            lookups: Arc::new(Semaphore::new(lookups)),
            queries: Arc::new(Semaphore::new(queries)),
            readiness: Mutex::new(None),
            guard,
            heads,
            metrics,
        })
    }

    /// Commits what waits and tidies the store up. Later appends are refused; reading goes on.
    ///
    /// # Errors
    /// Where the store could not be tidied up. What was answered is durable all the same.
    pub async fn close(&self) -> Result<(), LogError> {
        self.ask(Request::Close).await
    }

    pub(super) async fn write(&self, writes: Writes) -> Result<Written, LogError> {
        self.ask(|answer| Request::Write { writes: Box::new(writes), answer: Some(answer) }).await
    }

    /// Has a checkpoint that waits for it stored, unless the writer has so much to do that a commit will take it along.
    pub(super) fn keep_checkpoint(&self) {
        if self.heads.has_unkept() {
            let nothing = Request::Write { writes: Box::default(), answer: None };
            let _ = self.requests.try_send(nothing);
        }
    }

    /// Sends a request to the writer and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Request,
    ) -> Result<T, LogError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Asks for some of something to be done away with until nothing is left of it; how much that was.
    pub(super) async fn ask_until_none(
        &self,
        request: impl Fn(oneshot::Sender<Result<u64, LogError>>) -> Request,
    ) -> Result<u64, LogError> {
        let mut all = 0;
        loop {
            match self.ask(&request).await? {
                0 => return Ok(all),
                more => all += more,
            }
        }
    }

    /// Reads on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        read: impl FnOnce(&dyn StoreReader) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let turn = Arc::clone(turns).acquire_owned().await.expect("invariant: nobody closes the semaphores");
        let reader = Arc::clone(&self.reader);
        let read = move || {
            // Held by the reading itself, which goes on where the caller has gone away.
            let _turn = turn;
            read(&*reader)
        };
        let answer = tokio::task::spawn_blocking(read).await;
        let answer = answer.map_err(|error| LogError(format!("reading ended early: {error}")))?;
        answer.inspect_err(|_| self.wake_projector())
    }

    /// The search index may be damaged, and who makes it again may be asleep.
    fn wake_projector(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

#[async_trait]
impl SigningLog for GroupCommitLog {
    async fn commit(&self, entries: Vec<Entry>, changes: Vec<DeliveryChange>) -> Result<u64, LogError> {
        self.guard.check()?;
        let entries = entries.into_iter().map(NewEntry::try_from).collect::<Result<_, _>>()?;
        let writes = Writes { entries, changes, ..Writes::default() };
        check(&writes)?;
        Ok(self.write(writes).await?.first)
    }

    fn offer(&self, entry: Entry) {
        let refusals = entry.refusals();
        let entry = self.guard.check().and_then(|()| NewEntry::try_from(entry));
        let sent = entry.is_ok_and(|entry| {
            let writes = Box::new(Writes { entries: vec![entry], ..Writes::default() });
            self.requests.try_send(Request::Write { writes, answer: None }).is_ok()
        });
        if !sent {
            self.metrics.refusals_dropped(refusals);
            self.metrics.offers_dropped(u64::from(refusals == 0));
        }
    }

    async fn find(&self, identity: SignatureIdentity) -> Result<Option<Record>, LogError> {
        self.signatures.find(identity).await.inspect_err(|_| self.wake_projector())
    }

    async fn record(&self, id: SignatureId) -> Result<Option<Record>, LogError> {
        self.read(&self.lookups, move |reader| record(&reader.of_signature(id)?)).await
    }

    async fn entry(&self, index: u64) -> Result<Option<LoggedEntry>, LogError> {
        self.read(&self.lookups, move |reader| reader.entry(index)).await
    }

    async fn signed(&self, of: SignaturesOf) -> Result<Vec<Signing>, LogError> {
        self.read(&self.lookups, move |reader| {
            let mut signed = Vec::new();
            for logged in reader.of_subject(&of)? {
                let entry = logged.entry()?;
                if entry.subject.as_ref() == Some(&of.subject)
                    && let Event::Outcome { signing, result: Outcome::Signed { .. } }
                    | Event::Adopted { signing, .. } = entry.event
                    && signing.key.name == of.key
                {
                    signed.push(signing);
                }
            }
            Ok(signed)
        })
        .await
    }

    /// Asks the store at most once a second; who asks meanwhile gets the same answer.
    async fn ready(&self) -> Result<(), LogError> {
        self.guard.check()?;
        let mut known = self.readiness.lock().await;
        if let Some((asked, answer)) = &*known
            && asked.elapsed() < Self::READINESS
        {
            return answer.clone();
        }
        let answer = self.ask(Request::Probe).await;
        *known = Some((Instant::now(), answer.clone()));
        answer
    }
}

impl Drop for GroupCommitLog {
    fn drop(&mut self) {
        // The writer ends once it has worked off what waits and nobody can send any more.
        self.requests = mpsc::channel(1).0;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer ended early");
        }
        self.bell = None;
        if let Some(projector) = self.projector.take() {
            projector.join();
        }
    }
}

/// What the entries say of their signature.
pub(super) fn record(entries: &[LoggedEntry]) -> Result<Option<Record>, LogError> {
    let entries = entries
        .iter()
        .map(|logged| Ok((logged.index, logged.entry()?)))
        .collect::<Result<Vec<_>, LogError>>()?;
    Ok(Record::from_entries(entries.iter().map(|(index, entry)| (*index, entry))))
}

/// What would fail the transaction, and with it everybody else's part of it.
fn check(writes: &Writes) -> Result<(), LogError> {
    for change in &writes.changes {
        if let DeliveryChange::Add { entry, parcel, .. } = change {
            writes.outcome(*entry)?;
            let bytes = parcel.document.len();
            if bytes > Parcel::MAX_BYTES {
                return Err(LogError(format!(
                    "a document has at most {} bytes, this one has {bytes}",
                    Parcel::MAX_BYTES
                )));
            }
        }
    }
    Ok(())
}

fn closed() -> LogError {
    LogError("it has been closed".to_owned())
}
