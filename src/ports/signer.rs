use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{BatchMember, LogError};
use crate::domain::{BatchId, Entry, Event, Key, KeyName, KeyVersion, Signing, SigningInput};

/// One signature to be made.
#[derive(Debug, Clone)]
pub struct SigningTask {
    pub key: KeyName,
    /// Pinned: never "the latest", so that the answer can be checked with one public key.
    pub version: KeyVersion,
    pub input: SigningInput,
    /// The request's entry. Its event is replaced by [`Event::Intent`] when the group's batch id is known.
    pub entry: Entry,
    pub signing: Signing,
}

impl SigningTask {
    /// The entry to commit before the group `batch` is sent.
    pub fn intent(&self, batch: BatchId) -> Entry {
        let event = Event::Intent { signing: self.signing.clone(), batch };
        Entry { event, ..self.entry.clone() }
    }
}

/// A signature as the key holder returned it, not yet checked.
#[derive(Debug)]
pub struct Signed {
    /// ASN.1 DER for ECDSA, else the raw bytes.
    pub signature: Vec<u8>,
    pub batch: BatchId,
    /// The key holder's own name of the call.
    pub request_id: Option<String>,
    /// With whom its outcome is recorded: those whose signatures came of the same call. Others may wait for that: who asks for
    /// another signature first, waits for themselves.
    pub member: BatchMember,
}

/// The keeper of the private keys.
///
/// Once [`Signer::sign`] has reached a key, the intent is durable in the signing log: no call
/// leaves before its intents are committed, and none leaves when they can not be.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The names of the keys that are configured, sorted.
    fn names(&self) -> Vec<KeyName>;

    /// The key with its versions, from a cache that follows the key holder. Where the holder has deleted the key and
    /// its public keys were kept, they are here: see [`Key::in_vault`].
    ///
    /// # Errors
    /// [`SignerError::UnknownKey`] for a name that is not configured, without asking anybody.
    async fn key(&self, name: &KeyName) -> Result<Arc<Key>, SignerError>;

    /// The key as the holder has it from now on, for when the cache lags behind: a caller names a version above the
    /// latest that is known, or a signature does not verify. The holder is asked at most about once a second for
    /// each key, however many ask here; those who come in between wait for the next answer, and share it.
    ///
    /// # Errors
    /// As [`Signer::key`], and where the holder can not be asked.
    async fn key_anew(&self, name: &KeyName) -> Result<Arc<Key>, SignerError>;

    /// Signs, in one call with what else waits for the same key version.
    ///
    /// # Errors
    /// Where nothing was signed, or nobody knows.
    async fn sign(&self, task: SigningTask) -> Result<Signed, SignerError> {
        let mut results = self.sign_all(vec![task]).await;
        results.pop().expect("invariant: a task has a result")
    }

    /// Signs all of `tasks`, those of one key version in as few calls as their size allows. As many results as
    /// tasks, in their order: one may fail alone. After [`SignerError::VersionUnavailable`] and
    /// [`SignerError::NoSuchKey`], [`Signer::key`] says what is true now.
    async fn sign_all(&self, tasks: Vec<SigningTask>) -> Vec<Result<Signed, SignerError>>;

    /// Whether a signature could be made now, as far as a cheap look can tell.
    ///
    /// # Errors
    /// What a signing call would meet.
    async fn ready(&self) -> Result<(), SignerError>;
}

/// Why there is no signature. The texts are for our log; callers get sentences of the service.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignerError {
    #[error("no key `{0}` is configured")]
    UnknownKey(KeyName),
    #[error("Vault has no key `{0}`")]
    NoSuchKey(KeyName),
    #[error("version {version} of key `{key}` can not sign: {reason}")]
    VersionUnavailable { key: KeyName, version: KeyVersion, reason: String },
    /// The log's own key can not be what it is for.
    #[error(
        "key `{key}` can not sign the log's checkpoints: {reason}: make another one with `vault write -f \
             <mount>/keys/<name> type=ed25519`, and name it in `log.checkpoint_key`"
    )]
    Unfit { key: KeyName, reason: &'static str },
    #[error("{bytes} bytes are more than key `{key}` signs: {}", SigningInput::MAX_MESSAGE)]
    MessageTooLarge { key: KeyName, bytes: usize },
    #[error("Vault can not be reached or failed: {reason}")]
    Unavailable { reason: String, retry_after: Option<Duration> },
    #[error("Vault is sealed or not initialised")]
    Sealed,
    #[error("Vault refused: {reason}")]
    Denied { reason: String },
    #[error("Vault took longer than {0:?}")]
    Timeout(Duration),
    #[error(transparent)]
    Log(#[from] LogError),
}
