//! The [`SigningLog`], and what else has to be durable, over a [`Store`].

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::Guard;
use super::heads::Heads;
use super::writer::{self, Request};
use crate::domain::{Entry, Record, SignatureId, SignatureIdentity};
use crate::metrics::Metrics;
use crate::ports::{
    DeliveryChange, EntryPage, EntryQuery, LogError, LoggedEntry, NewEntry, Parcel, SigningLog, Store,
    StoreReader, Writes, Written,
};

/// A log with one writer thread that commits everything that waits in one transaction: entries with the changes
/// of the outbox, callers' idempotency keys and their answers, and public keys that are kept.
///
/// Nobody waits on a timer: a commit begins when something waits and the one before has ended.
/// What was sent is committed even where the caller does not wait for the answer any more.
/// Dropping the log commits what waits, tidies the store up and joins the thread.
pub struct GroupCommitLog {
    requests: mpsc::Sender<Request>,
    writer: Option<JoinHandle<()>>,
    reader: Arc<dyn StoreReader>,
    /// Answers of one entry, signature or delivery being read at once. They are on the way of every request.
    pub(super) lookups: Arc<Semaphore>,
    /// Pages being read at once, counted apart: a slow question must not hold a signature up.
    queries: Arc<Semaphore>,
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

    /// Starts the writer thread, which owns `store` from now on. Entries are taken where `guard` lets them; it is shut
    /// where the store turns out to hold another log than it did.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(store: Box<dyn Store>, guard: Guard, metrics: Arc<Metrics>) -> Result<Self, LogError> {
        let reader = store.reader();
        let queries = (reader.width() / 3).max(1);
        let lookups = reader.width().saturating_sub(queries).max(1);
        let (requests, waiting) = mpsc::channel(Self::WAITING);
        let heads = Heads::of(store.head());
        let work =
            writer::Work { store, guard: guard.clone(), heads: heads.clone(), metrics: Arc::clone(&metrics) };
        let writer = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || work.run(waiting))
            .map_err(|error| LogError(format!("no thread for the writer: {error}")))?;
        Ok(Self {
            requests,
            writer: Some(writer),
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
        self.ask(|answer| Request::Write { writes, answer: Some(answer) }).await
    }

    /// Has a checkpoint that waits for it stored, unless the writer has so much to do that a commit will take it along.
    pub(super) fn keep_checkpoint(&self) {
        if self.heads.has_unkept() {
            let nothing = Request::Write { writes: Writes::default(), answer: None };
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
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| LogError(format!("reading ended early: {error}")))?
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
            let writes = Writes { entries: vec![entry], ..Writes::default() };
            self.requests.try_send(Request::Write { writes, answer: None }).is_ok()
        });
        if !sent {
            self.metrics.refusals_dropped(refusals);
        }
    }

    async fn find(&self, identity: SignatureIdentity) -> Result<Option<Record>, LogError> {
        self.read(&self.lookups, move |reader| record(&reader.of_identity(identity)?)).await
    }

    async fn record(&self, id: SignatureId) -> Result<Option<Record>, LogError> {
        self.read(&self.lookups, move |reader| record(&reader.of_signature(id)?)).await
    }

    async fn entry(&self, index: u64) -> Result<Option<LoggedEntry>, LogError> {
        self.read(&self.lookups, move |reader| reader.entry(index)).await
    }

    async fn query(&self, query: EntryQuery) -> Result<EntryPage, LogError> {
        self.read(&self.queries, move |reader| reader.query(&query)).await
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
    }
}

/// What the entries say of their signature.
fn record(entries: &[LoggedEntry]) -> Result<Option<Record>, LogError> {
    let entries = entries
        .iter()
        .map(|LoggedEntry { index, bytes }| match serde_json::from_slice::<Entry>(bytes) {
            Ok(entry) => Ok((*index, entry)),
            Err(error) => Err(LogError(format!("entry {index} can not be read: {error}"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
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
