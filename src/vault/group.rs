//! One group: intents, the call, everybody's answer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::batch::Member;
use super::client::{Client, Reply};
use super::endpoints::{SignAnswer, SignBatch, SignItem, SignParameters, SignResult};
use super::failure::{explain, sentence, unavailable};
use super::keys::TransitKey;
use crate::domain::{BatchId, Clock, IdSource, Key, KeyVersion, SigningInput};
use crate::metrics::Metrics;
use crate::ports::{Signed, SignerError, SigningLog};

/// Signs groups. No call leaves before the intents of all its members are durable, and none
/// leaves when they can not be.
pub(super) struct GroupSigner {
    pub(super) client: Arc<Client>,
    pub(super) log: Arc<dyn SigningLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) metrics: Arc<Metrics>,
}

impl GroupSigner {
    /// Signs for all of `members`, who want version `version` of `key`, and answers each.
    pub(super) async fn sign(&self, key: &TransitKey, version: KeyVersion, members: Vec<Member>) {
        let batch = self.ids.batch_id(self.clock.now());
        let (tasks, replies): (Vec<_>, Vec<_>) = members.into_iter().map(|m| (m.task, m.reply)).unzip();
        let inputs: Vec<SigningInput> = tasks.iter().map(|task| task.input.clone()).collect();
        let intents = tasks.iter().map(|task| task.intent(batch)).collect();

        let results = match self.log.append(intents).await {
            Ok(_) => self.call(key, version, &inputs, batch).await,
            Err(error) => Err(error.into()),
        };
        match results {
            Ok(results) => {
                for (reply, result) in replies.into_iter().zip(results) {
                    // Who has gone meanwhile has an intent in the log, which says what happened.
                    let _ = reply.send(result);
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// As many results as `inputs`, in their order; or an error that is everybody's.
    async fn call(
        &self,
        key: &TransitKey,
        version: KeyVersion,
        inputs: &[SigningInput],
        batch: BatchId,
    ) -> Result<Vec<Result<Signed, SignerError>>, SignerError> {
        self.metrics.vault_batch(inputs.len());
        let endpoint =
            SignBatch { mount: key.mount.clone(), key: key.vault_key.clone(), body: body(version, inputs) };
        let reply = match self.client.call("sign", endpoint, Some(batch)).await {
            Ok(reply) => reply,
            Err(failure) => {
                let may_be_the_key = failure.may_be_the_key();
                let error = explain(&self.client, failure).await;
                return Err(if may_be_the_key {
                    self.blame(key, version).await.unwrap_or(error)
                } else {
                    error
                });
            }
        };
        let mut results = signatures(reply, version, inputs.len(), batch)?;
        if results.iter().any(Result::is_err)
            && let Some(reason) = self.blame(key, version).await
        {
            for result in results.iter_mut().filter(|result| result.is_err()) {
                *result = Err(reason.clone());
            }
        }
        Ok(results)
    }

    /// Whether the key is the reason for a failure. Vault answers in the same way whether a version
    /// is archived, does not exist yet, or something broke; so the key is read again, not the words.
    async fn blame(&self, key: &TransitKey, version: KeyVersion) -> Option<SignerError> {
        match key.read_anew(&self.client).await {
            Err(gone @ SignerError::NoSuchKey(_)) => Some(gone),
            Ok(known) if !known.can_sign_with(version) => Some(SignerError::VersionUnavailable {
                key: key.name.clone(),
                version,
                reason: why_not(&known, version),
            }),
            Ok(_) | Err(_) => None,
        }
    }
}

fn body(version: KeyVersion, inputs: &[SigningInput]) -> Vec<u8> {
    let item = |(index, input): (usize, &SigningInput)| SignItem {
        input: match input {
            SigningInput::Digest { bytes, .. } => STANDARD.encode(bytes),
            SigningInput::Message(message) => STANDARD.encode(message),
        },
        reference: index.to_string(),
    };
    let parameters = SignParameters {
        prehashed: true,
        marshaling_algorithm: "asn1",
        key_version: version.get(),
        batch_input: inputs.iter().enumerate().map(item).collect(),
    };
    serde_json::to_vec(&parameters).expect("invariant: strings and numbers always become JSON")
}

/// The answer as signatures, one for each of `count` members.
fn signatures(
    reply: Reply<SignAnswer>,
    version: KeyVersion,
    count: usize,
    batch: BatchId,
) -> Result<Vec<Result<Signed, SignerError>>, SignerError> {
    let Reply { data: SignAnswer { batch_results: results }, request_id } = reply;
    if results.len() != count {
        return Err(unavailable(format!("Vault gave {} results for {count} digests", results.len())));
    }
    let signature = |(index, result): (usize, &SignResult)| {
        if !result.reference.is_empty() && result.reference != index.to_string() {
            return Err(unavailable("Vault gave its results in another order"));
        }
        let signature = signature(result, version)?;
        Ok(Signed { signature, batch, request_id: request_id.clone() })
    };
    Ok(results.iter().enumerate().map(signature).collect())
}

/// The DER of a result. A signature of another version than the pinned one is never handed out:
/// the intent names the version.
fn signature(result: &SignResult, version: KeyVersion) -> Result<Vec<u8>, SignerError> {
    if !result.error.is_empty() {
        return Err(unavailable(sentence(&[&result.error]).unwrap_or_default()));
    }
    let (signed_with, base64) = result
        .signature
        .strip_prefix("vault:v")
        .and_then(|rest| rest.split_once(':'))
        .ok_or_else(|| unavailable("Vault gave a signature without its version"))?;
    if signed_with.parse() != Ok(version.get()) {
        let other: String = signed_with.chars().filter(char::is_ascii_digit).take(10).collect();
        return Err(unavailable(format!("Vault signed with version {other} instead of {version}")));
    }
    let der = STANDARD.decode(base64).map_err(|_| unavailable("Vault gave a signature that is no base64"))?;
    if der.is_empty() {
        return Err(unavailable("Vault gave an empty signature"));
    }
    Ok(der)
}

fn why_not(key: &Key, version: KeyVersion) -> String {
    if version > key.latest {
        format!("the latest is {}", key.latest)
    } else if version < key.minimum {
        format!("Vault signs with versions from {} on", key.minimum)
    } else {
        format!("Vault publishes no such version of this key, whose type is {}", key.key_type)
    }
}
