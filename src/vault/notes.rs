//! The log's own key, which signs its checkpoints and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::client::Client;
use super::endpoints::{KeyAnswer, SignBatch};
use super::failure::{explain, unavailable};
use super::group::{Form, body, signature};
use super::keys::TransitKey;
use crate::domain::{Clock, Key, KeyType, KeyVersion, PublicKey, PublishedVersion, SigningInput};
use crate::ports::{KeyArchive, NoteSigner, SignerError};
use crate::tlog::{Note, NoteSignature, VerifierKey};

/// Signs notes with an ed25519 key of Vault that no [`crate::ports::Signer`] reaches.
///
/// It is followed like the other keys. While a new version is young, the one before signs too, so that those who know
/// only the older one go on verifying.
pub struct TransitNotes {
    pub(super) client: Arc<Client>,
    pub(super) key: Arc<TransitKey>,
    pub(super) archive: Arc<dyn KeyArchive>,
    pub(super) clock: Arc<dyn Clock>,
    /// Of the log, and so of the key in notes.
    pub(super) origin: String,
    /// How long the version before signs too.
    pub(super) overlap: Duration,
    /// Whether the version before did not sign last time.
    pub(super) alone: AtomicBool,
}

/// Why a version did not sign.
struct Failure {
    error: SignerError,
    /// Whether what is known of the key may be wrong.
    may_be_the_key: bool,
}

impl TransitNotes {
    async fn try_sign(&self, key: &Key, text: &str) -> Result<String, Failure> {
        let newest = self.sign_with(key, key.latest, text);
        let before = async {
            match self.version_before(key) {
                Some(version) => Some((version, self.sign_with(key, version, text).await)),
                None => None,
            }
        };
        let (newest, before) = tokio::join!(newest, before);
        let mut signatures = vec![newest?];
        match before {
            Some((_, Ok(line))) => {
                self.alone.store(false, Ordering::Relaxed);
                signatures.push(line);
            }
            Some((version, Err(Failure { error, .. }))) if !self.alone.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    key = %key.name, %version, %error,
                    "the version before the newest does not sign checkpoints any more: those who know no newer one can not verify them"
                );
            }
            Some((_, Err(_))) | None => {}
        }
        Ok(Note { text: text.to_owned(), signatures }.to_string())
    }

    /// The version that signs beside the latest; none where that is old enough, or Vault does not sign with any other.
    fn version_before(&self, key: &Key) -> Option<KeyVersion> {
        let latest = key.versions.get(&key.latest)?;
        let age = self.clock.now().duration_since(latest.created_at);
        let young = age.is_negative() || age.unsigned_abs() < self.overlap;
        let before = key.versions.range(..key.latest).next_back().map(|(version, _)| *version);
        before.filter(|version| young && key.can_sign_with(*version))
    }

    async fn sign_with(&self, key: &Key, version: KeyVersion, text: &str) -> Result<NoteSignature, Failure> {
        let of_the_key = |error| Failure { error, may_be_the_key: true };
        if !key.in_vault {
            return Err(of_the_key(SignerError::NoSuchKey(key.name.clone())));
        }
        let published = key.versions.get(&version).filter(|_| key.can_sign_with(version));
        let published = published.ok_or_else(|| {
            let reason = "Vault does not sign with it".to_owned();
            of_the_key(SignerError::VersionUnavailable { key: key.name.clone(), version, reason })
        })?;
        let verifier = verifier_key(&self.origin, &published.public_key).map_err(of_the_key)?;
        let input = SigningInput::Message(text.as_bytes().to_vec().into());
        let endpoint = SignBatch {
            mount: self.key.mount.clone(),
            target: self.key.vault_key.to_string(),
            body: body(version, Form::Message, &[input]),
        };
        let reply = match self.client.call("sign_checkpoint", endpoint, None).await {
            Ok(reply) => reply,
            Err(failure) => {
                let may_be_the_key = failure.may_be_the_key();
                return Err(Failure { error: explain(&self.client, failure).await, may_be_the_key });
            }
        };
        let [result] = reply.data.batch_results.as_slice() else {
            let results = reply.data.batch_results.len();
            let error = unavailable(format!("Vault gave {results} results for one input"));
            return Err(Failure { error, may_be_the_key: false });
        };
        let signature = signature(result, version).map_err(of_the_key)?;
        if !verifier.verifies(text, &signature) {
            let reason = format!("what version {version} of key `{}` signed does not verify", key.name);
            return Err(of_the_key(unavailable(reason)));
        }
        Ok(NoteSignature { name: self.origin.clone(), id: verifier.id(), signature })
    }
}

#[async_trait]
impl NoteSigner for TransitNotes {
    async fn sign_note(&self, text: &str) -> Result<String, SignerError> {
        let key = self.key.known(&self.client).await?;
        match self.try_sign(&key, text).await {
            Ok(note) => Ok(note),
            // What Vault says in words is the same for a version that is archived and for one that never was.
            Err(Failure { may_be_the_key: true, .. }) => {
                let key = self.key.read_anew(&self.client).await?;
                self.try_sign(&key, text).await.map_err(|failure| failure.error)
            }
            Err(Failure { error, .. }) => Err(error),
        }
    }

    /// While Vault can not be asked, those that were kept.
    async fn verifier_keys(&self) -> Result<Vec<String>, SignerError> {
        let mut versions: Vec<(KeyVersion, PublishedVersion)> = match self.key.known(&self.client).await {
            Ok(key) => {
                let current = key.versions.iter().map(|(version, published)| (*version, published.clone()));
                current.chain(key.former.iter().cloned()).collect()
            }
            Err(error) => {
                let kept = self.archive.versions(&self.key.name).await?;
                if kept.is_empty() {
                    return Err(error);
                }
                kept.into_iter().map(|kept| (kept.version, kept.into())).collect()
            }
        };
        versions.sort_by_key(|(version, published)| (published.created_at, *version));
        let keys = versions.iter().rev().map(|(_, published)| {
            verifier_key(&self.origin, &published.public_key).map(|key| key.to_string())
        });
        keys.collect()
    }
}

/// Why a key of Vault must not sign the log's checkpoints; none where it may.
pub(super) fn unfit(answer: &KeyAnswer) -> Option<&'static str> {
    if KeyType::from(answer.key_type.as_str()) != KeyType::Ed25519 {
        Some("it is not of the type ed25519, which notes are signed with")
    } else if answer.derived {
        Some("it is derived, so that it has no public key of its own")
    } else if answer.exportable || answer.allow_plaintext_backup {
        Some("Vault lets it be exported or backed up in plain text, and whoever has it can forge checkpoints")
    } else {
        None
    }
}

fn verifier_key(origin: &str, public_key: &PublicKey) -> Result<VerifierKey, SignerError> {
    let bytes =
        public_key.to_ed25519().ok_or_else(|| unavailable("the log's key is not of the type ed25519"))?;
    VerifierKey::new(origin, bytes).map_err(|error| unavailable(error.to_string()))
}
