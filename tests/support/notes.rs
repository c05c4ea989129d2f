//! A key for checkpoints that needs no Vault.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use signet::ports::{NoteSigner, SignerError};
use signet::tlog::{Checkpoint, Note, NoteSignature, VerifierKey};
use tokio::sync::Semaphore;

/// The log's name in tests.
pub const ORIGIN: &str = "log.example.com/signet";

/// Signs with a key that it makes from a seed, so that another process has the same one.
pub struct LocalNotes {
    pair: Ed25519KeyPair,
    /// Texts that were signed.
    pub signed: Mutex<Vec<String>>,
    /// How many more may be signed at once: without permits, a call waits.
    pub turns: Semaphore,
    /// So many calls fail.
    pub failures: AtomicU64,
}

impl LocalNotes {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            pair: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
            signed: Mutex::default(),
            turns: Semaphore::new(Semaphore::MAX_PERMITS),
            failures: AtomicU64::new(0),
        })
    }

    pub fn key(&self) -> VerifierKey {
        let public_key = self.pair.public_key().as_ref().try_into().unwrap();
        VerifierKey::new(ORIGIN, public_key).unwrap()
    }

    /// What a checkpoint says, where this key has signed it.
    pub fn open(&self, note: &str) -> Checkpoint {
        Checkpoint::open(note, ORIGIN, &[self.key()]).unwrap_or_else(|error| panic!("{error}: {note}"))
    }

    pub fn count(&self) -> usize {
        self.signed.lock().unwrap().len()
    }
}

#[async_trait]
impl NoteSigner for LocalNotes {
    async fn sign_note(&self, text: &str) -> Result<String, SignerError> {
        let _turn = self.turns.acquire().await.unwrap();
        let fails = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        if fails {
            return Err(SignerError::Sealed);
        }
        self.signed.lock().unwrap().push(text.to_owned());
        let signature = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        let line = NoteSignature { name: ORIGIN.to_owned(), id: self.key().id(), signature };
        Ok(Note { text: text.to_owned(), signatures: vec![line] }.to_string())
    }

    async fn verifier_keys(&self) -> Result<Vec<String>, SignerError> {
        Ok(vec![self.key().to_string()])
    }
}
