//! The writer, over a store that stands still until the test lets it go on.

use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use futures::future::{join_all, poll_immediate};
use signet::domain::{KeyName, Reach, SignatureId, SignatureIdentity, Timestamp};
use signet::log::{GroupCommitLog, Guard};
use signet::metrics::Metrics;
use signet::ports::{
    ArchivedVersion, CountQuery, Counts, Delivery, EntryPage, EntryQuery, Extent, LogError, LoggedEntry,
    NewEntry, Projector, SearchProgress, Session, SessionId, SignaturePage, SignatureQuery, SignaturesOf,
    SignedCheckpoint, SigningLog as _, Step, Store, StoreReader, Waiting, Writes, Written,
};
use signet::tlog::{TileId, TreeHead};
use tokio::task::unconstrained;

use crate::fixtures::Story;

#[tokio::test]
async fn what_arrives_during_a_commit_shares_the_next_one() {
    let (log, gate) = gated();
    let first = hold(&log, &gate).await;
    let waiting = sent((0..100).map(|_| log.append(vec![Story::new().intent()]))).await;

    gate.go_on(Ok(()));
    gate.go_on(Ok(()));
    assert_eq!(first.await, Ok(0));
    let indexes: Vec<_> = waiting.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(indexes, (1..=100).collect::<Vec<_>>());
    assert_eq!(gate.commits(), [1, 100]);
}

#[tokio::test]
async fn one_commit_takes_at_most_about_a_thousand_entries() {
    let (log, gate) = gated();
    let first = hold(&log, &gate).await;
    let three = || log.append(vec![Story::new().intent(); 3]);
    let waiting = sent((0..400).map(|_| three())).await;

    (0..3).for_each(|_| gate.go_on(Ok(())));
    first.await.unwrap();
    assert!(waiting.await.iter().all(Result::is_ok));
    assert_eq!(gate.commits(), [1, 1026, 174]);
}

#[tokio::test]
async fn a_failed_commit_fails_all_who_shared_it_and_the_next_one_is_tried_afresh() {
    let (log, gate) = gated();
    let first = hold(&log, &gate).await;
    let waiting = sent((0..10).map(|_| log.append(vec![Story::new().intent()]))).await;

    gate.go_on(Ok(()));
    gate.go_on(Err("the disk is full"));
    first.await.unwrap();
    for answer in waiting.await {
        assert_eq!(answer, Err(LogError("the disk is full".to_owned())));
    }
    gate.go_on(Ok(()));
    assert_eq!(log.append(vec![Story::new().intent()]).await, Ok(1));
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_refused_for_its_caller_alone() {
    let (log, gate) = gated();
    let mut large = Story::new().intent();
    large.principal.push_str(&"x".repeat(NewEntry::MAX_BYTES - large.to_bytes().len()));
    let mut larger = large.clone();
    larger.principal.push('x');

    gate.go_on(Ok(()));
    let answers = join_all([log.append(vec![large]), log.append(vec![Story::new().intent(), larger])]).await;
    assert_eq!(answers[0], Ok(0));
    assert!(answers[1].as_ref().unwrap_err().to_string().contains("65535 bytes"));
    assert_eq!(gate.commits(), [1]);
}

#[tokio::test]
async fn an_offer_is_logged_when_there_is_room_and_counted_when_there_is_none() {
    let metrics = Arc::new(Metrics::new());
    let (log, gate) = gated_with(&metrics);
    let first = hold(&log, &gate).await;
    (0..GroupCommitLog::WAITING).for_each(|_| log.offer(Story::new().refusal()));
    assert!(metrics.encode().contains("signet_log_refusals_dropped_total 0"));

    log.offer(Story::new().refusal());
    assert!(metrics.encode().contains("signet_log_refusals_dropped_total 1"));

    gate.go_on(Ok(()));
    gate.go_on(Ok(()));
    first.await.unwrap();
    log.close().await.unwrap();
    assert_eq!(gate.commits(), [1, GroupCommitLog::WAITING]);
}

#[tokio::test]
async fn closing_commits_what_was_sent_and_refuses_what_comes_later() {
    let (log, gate) = gated();
    let first = hold(&log, &gate).await;
    let mut waiting = Box::pin(log.append(vec![Story::new().intent()]));
    assert!(poll_immediate(&mut waiting).await.is_none());
    let mut closing = Box::pin(log.close());
    assert!(poll_immediate(&mut closing).await.is_none());

    gate.go_on(Ok(()));
    gate.go_on(Ok(()));
    assert_eq!((first.await, waiting.await, closing.await), (Ok(0), Ok(1), Ok(())));
    assert!(log.append(vec![Story::new().intent()]).await.is_err());
    assert!(log.ready().await.is_err());
}

#[tokio::test]
async fn dropping_the_log_commits_what_was_sent() {
    let (log, gate) = gated();
    let first = hold(&log, &gate).await;
    (0..5).for_each(|_| log.offer(Story::new().refusal()));
    drop(first);
    gate.go_on(Ok(()));
    gate.go_on(Ok(()));
    drop(log);
    assert_eq!(gate.commits(), [1, 5]);
}

#[tokio::test]
async fn readiness_asks_the_store_at_most_once_a_second() {
    let (log, gate) = gated();
    *gate.probe.lock().unwrap() = Err(LogError("read-only".to_owned()));
    assert!(log.ready().await.is_err());
    *gate.probe.lock().unwrap() = Ok(());
    assert!(log.ready().await.is_err(), "an answer counts for a second");
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_millis(1001)).await;
    assert_eq!(log.ready().await, Ok(()));
}

/// What the test holds of a [`Gated`] store.
struct Gate {
    started: Receiver<()>,
    verdicts: SyncSender<Result<(), LogError>>,
    commits: Arc<Mutex<Vec<usize>>>,
    probe: Arc<Mutex<Result<(), LogError>>>,
}

impl Gate {
    /// How the next commit ends. Until this is said, it waits.
    fn go_on(&self, verdict: Result<(), &str>) {
        self.verdicts.send(verdict.map_err(|error| LogError(error.to_owned()))).unwrap();
    }

    /// Entries of each commit.
    fn commits(&self) -> Vec<usize> {
        self.commits.lock().unwrap().clone()
    }
}

/// Appends that have been sent and wait for their answers.
async fn sent<F: Future>(appends: impl Iterator<Item = F>) -> Pin<Box<impl Future<Output = Vec<F::Output>>>> {
    // Otherwise tokio would let only so many be sent at once.
    let mut all = Box::pin(unconstrained(join_all(appends)));
    assert!(poll_immediate(&mut all).await.is_none());
    all
}

/// An entry whose commit has begun and waits.
async fn hold<'a>(
    log: &'a GroupCommitLog,
    gate: &Gate,
) -> Pin<Box<dyn Future<Output = Result<u64, LogError>> + 'a>> {
    let mut first = Box::pin(log.append(vec![Story::new().intent()]));
    assert!(poll_immediate(&mut first).await.is_none());
    gate.started.recv().unwrap();
    first
}

fn gated() -> (GroupCommitLog, Gate) {
    gated_with(&Arc::default())
}

fn gated_with(metrics: &Arc<Metrics>) -> (GroupCommitLog, Gate) {
    let (begin, started) = sync_channel(16);
    let (verdicts, verdict) = sync_channel(16);
    let commits = Arc::default();
    let probe = Arc::new(Mutex::new(Ok(())));
    let store = Gated { begin, verdict, commits: Arc::clone(&commits), probe: Arc::clone(&probe), next: 0 };
    let log = GroupCommitLog::start(Box::new(store), Guard::open(), Arc::clone(metrics)).unwrap();
    (log, Gate { started, verdicts, commits, probe })
}

struct Gated {
    begin: SyncSender<()>,
    verdict: Receiver<Result<(), LogError>>,
    commits: Arc<Mutex<Vec<usize>>>,
    probe: Arc<Mutex<Result<(), LogError>>>,
    next: u64,
}

impl Store for Gated {
    fn commit(&mut self, writes: &Writes) -> Result<Written, LogError> {
        self.commits.lock().unwrap().push(writes.entries.len());
        self.begin.send(()).unwrap();
        self.verdict.recv().unwrap()?;
        let first = self.next;
        self.next += writes.entries.len() as u64;
        let head = TreeHead::empty();
        let (before, recalled, kept, taken, opened) = (head, Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Written { first, before, head, recalled, kept, taken, opened })
    }

    fn take_due(&mut self, _: Timestamp, _: Timestamp, _: usize) -> Result<Vec<SignatureId>, LogError> {
        unreachable!()
    }

    fn forget(&mut self, _: Timestamp) -> Result<u64, LogError> {
        unreachable!()
    }

    fn forget_uses(&mut self, _: Timestamp) -> Result<u64, LogError> {
        unreachable!()
    }

    fn forget_sessions(&mut self, _: Timestamp, _: Timestamp) -> Result<u64, LogError> {
        unreachable!()
    }

    fn drop_archived(&mut self) -> Result<u64, LogError> {
        unreachable!()
    }

    fn probe(&mut self) -> Result<(), LogError> {
        self.probe.lock().unwrap().clone()
    }

    fn head(&self) -> TreeHead {
        TreeHead::empty()
    }

    fn verdict(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn settle_origin(&mut self, _: &str) -> Result<String, LogError> {
        unreachable!()
    }

    fn close(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    fn reader(&self) -> Arc<dyn StoreReader> {
        Arc::new(Unread)
    }

    fn projector(&self) -> Box<dyn Projector> {
        Box::new(Unread)
    }
}

/// These tests read nothing.
struct Unread;

impl Projector for Unread {
    fn step(&mut self) -> Result<Step, LogError> {
        Ok(Step { progress: SearchProgress::default(), added: 0, more: false })
    }

    fn rebuild(&mut self) {
        unreachable!()
    }

    fn poll(&self) -> Option<std::time::Duration> {
        None
    }
}

impl StoreReader for Unread {
    fn width(&self) -> usize {
        1
    }

    fn entry(&self, _: u64) -> Result<Option<LoggedEntry>, LogError> {
        unreachable!()
    }

    fn entries(&self, _: u64, _: usize) -> Result<Vec<LoggedEntry>, LogError> {
        unreachable!()
    }

    fn head(&self) -> Result<(TreeHead, Option<SignedCheckpoint>), LogError> {
        unreachable!()
    }

    fn tiles(&self, _: &[TileId]) -> Result<Vec<Option<Vec<u8>>>, LogError> {
        unreachable!()
    }

    fn query(&self, _: &EntryQuery, _: &Reach) -> Result<EntryPage, LogError> {
        unreachable!()
    }

    fn extent(&self) -> Result<Extent, LogError> {
        unreachable!()
    }

    fn mark(&self, _: &str) -> Result<Option<String>, LogError> {
        unreachable!()
    }

    fn first_open(&self) -> Result<Option<u64>, LogError> {
        unreachable!()
    }

    fn of_signature(&self, _: SignatureId) -> Result<Vec<LoggedEntry>, LogError> {
        unreachable!()
    }

    fn of_identities(&self, _: &[SignatureIdentity]) -> Result<Vec<Vec<LoggedEntry>>, LogError> {
        unreachable!()
    }

    fn of_subject(&self, _: &SignaturesOf) -> Result<Vec<LoggedEntry>, LogError> {
        unreachable!()
    }

    fn signatures(&self, _: &SignatureQuery, _: &Reach) -> Result<SignaturePage, LogError> {
        unreachable!()
    }

    fn counts(&self, _: &CountQuery, _: &Reach) -> Result<Counts, LogError> {
        unreachable!()
    }

    fn progress(&self) -> Result<SearchProgress, LogError> {
        unreachable!()
    }

    fn delivery(&self, _: SignatureId) -> Result<Option<Delivery>, LogError> {
        unreachable!()
    }

    fn waiting(&self) -> Result<Waiting, LogError> {
        unreachable!()
    }

    fn archived(&self, _: &KeyName) -> Result<Vec<ArchivedVersion>, LogError> {
        unreachable!()
    }

    fn session(&self, _: SessionId) -> Result<Option<Session>, LogError> {
        unreachable!()
    }
}
