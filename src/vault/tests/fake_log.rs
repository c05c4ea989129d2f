//! A signing log in memory, which can be told to fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::domain::{Digest, Entry, Event, Record, SignatureId, SignatureIdentity, Signing};
use crate::ports::{DeliveryChange, LogError, LoggedEntry, SignaturesOf, SigningLog};

#[derive(Default)]
pub(super) struct FakeLog {
    commits: Mutex<Vec<Vec<Entry>>>,
    pub(super) fails: AtomicBool,
    pub(super) panics: AtomicBool,
}

impl FakeLog {
    /// How many intents each commit has.
    pub(super) fn commits(&self) -> Vec<usize> {
        self.commits.lock().unwrap().iter().map(Vec::len).collect()
    }

    /// The payloads of the intents that name `batch`, in the log's order.
    pub(super) fn intents(&self, batch: &str) -> Vec<Digest> {
        let commits = self.commits.lock().unwrap();
        let intents = commits.iter().flatten().filter_map(|entry| match &entry.event {
            Event::Intent { signing, batch: named } if named.to_string() == batch => Some(signing.payload),
            _ => None,
        });
        intents.collect()
    }
}

fn no_answer<T>() -> Result<T, LogError> {
    Err(LogError("the test's log can only be appended to".to_owned()))
}

#[async_trait]
impl SigningLog for FakeLog {
    async fn commit(&self, entries: Vec<Entry>, _: Vec<DeliveryChange>) -> Result<u64, LogError> {
        assert!(!self.panics.load(Ordering::SeqCst), "the test wants a panic");
        if self.fails.load(Ordering::SeqCst) {
            return Err(LogError("the disk is full".to_owned()));
        }
        let mut commits = self.commits.lock().unwrap();
        let index = commits.iter().map(Vec::len).sum::<usize>() as u64;
        commits.push(entries);
        Ok(index)
    }

    fn offer(&self, _: Entry) {}

    async fn find(&self, _: SignatureIdentity) -> Result<Option<Record>, LogError> {
        no_answer()
    }

    async fn record(&self, _: SignatureId) -> Result<Option<Record>, LogError> {
        no_answer()
    }

    async fn entry(&self, _: u64) -> Result<Option<LoggedEntry>, LogError> {
        no_answer()
    }

    async fn signed(&self, _: SignaturesOf) -> Result<Vec<Signing>, LogError> {
        no_answer()
    }

    async fn ready(&self) -> Result<(), LogError> {
        Ok(())
    }
}
