//! One group: intents, the call, everybody's answer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::batch::Member;
use super::client::{Client, Reply};
use super::endpoints::{DigestParameters, SignAnswer, SignBatch, SignItem, SignParameters, SignResult};
use super::failure::{explain, sentence, unavailable};
use super::keys::TransitKey;
use crate::domain::{
    BatchId, Clock, Fingerprint, HashAlgorithm, IdSource, Key, KeyReference, KeyVersion, SigningInput,
};
use crate::metrics::Metrics;
use crate::ports::{BatchEnd, BatchMember, Signed, SignerError, SigningLog};

/// Signs groups. No call leaves before the intents of all its members are durable, and none
/// leaves when they can not be.
pub(super) struct GroupSigner {
    pub(super) client: Arc<Client>,
    pub(super) log: Arc<dyn SigningLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) metrics: Arc<Metrics>,
}

/// How the inputs of a call are given to the key. One call has one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// ECDSA and RSA.
    Digest(HashAlgorithm),
    /// Ed25519.
    Message,
}

impl Form {
    pub(super) const fn of(input: &SigningInput) -> Self {
        match input {
            SigningInput::Digest { algorithm, .. } => Self::Digest(*algorithm),
            SigningInput::Message(_) => Self::Message,
        }
    }
}

impl GroupSigner {
    /// Signs for all of `members`, who want version `version` of `key` and whose inputs are of one form, and
    /// answers each.
    pub(super) async fn sign(
        &self,
        key: &TransitKey,
        version: KeyVersion,
        form: Form,
        mut members: Vec<Member>,
    ) -> Option<BatchEnd> {
        // Between choosing a version and getting here the key may have been deleted and made anew.
        if let Some(known) = key.current() {
            members = members.into_iter().filter_map(|member| still_there(&known, member)).collect();
        }
        let fingerprint = members.first()?.task.signing.key.fingerprint;
        let batch = self.ids.batch_id(self.clock.now());
        let (tasks, replies): (Vec<_>, Vec<_>) = members.into_iter().map(|m| (m.task, m.reply)).unzip();
        let inputs: Vec<SigningInput> = tasks.iter().map(|task| task.input.clone()).collect();
        let intents = tasks.iter().map(|task| task.intent(batch)).collect();

        let wanted = (version, fingerprint);
        let (batch_members, end) = BatchMember::all(tasks.len());
        let results = match self.log.append(intents).await {
            Ok(_) => self.call(key, wanted, form, &inputs, (batch, batch_members)).await,
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
        Some(end)
    }

    /// As many results as `inputs`, in their order; or an error that is everybody's.
    async fn call(
        &self,
        key: &TransitKey,
        wanted: (KeyVersion, Fingerprint),
        form: Form,
        inputs: &[SigningInput],
        (batch, members): (BatchId, Vec<BatchMember>),
    ) -> Result<Vec<Result<Signed, SignerError>>, SignerError> {
        let (version, _) = wanted;
        self.metrics.vault_batch(inputs.len());
        let target = match form {
            Form::Digest(hash) => format!("{}/{hash}", key.vault_key),
            Form::Message => key.vault_key.to_string(),
        };
        let endpoint = SignBatch { mount: key.mount.clone(), target, body: body(version, form, inputs) };
        let reply = match self.client.call("sign", endpoint, Some(batch)).await {
            Ok(reply) => reply,
            Err(failure) => {
                let may_be_the_key = failure.may_be_the_key();
                let error = explain(&self.client, failure).await;
                return Err(if may_be_the_key {
                    self.blame(key, wanted).await.unwrap_or(error)
                } else {
                    error
                });
            }
        };
        let mut results = signatures(reply, version, batch, members)?;
        let foreign = is_foreign(key, version, inputs, &results);
        if (foreign || results.iter().any(Result::is_err))
            && let Some(reason) = self.blame(key, wanted).await
        {
            for result in results.iter_mut().filter(|result| foreign || result.is_err()) {
                *result = Err(reason.clone());
            }
        }
        Ok(results)
    }

    /// Whether the key is the reason for a failure. Vault answers in the same way whether a version
    /// is archived, does not exist yet, or something broke; so the key is read again, not the words.
    async fn blame(
        &self,
        key: &TransitKey,
        (version, fingerprint): (KeyVersion, Fingerprint),
    ) -> Option<SignerError> {
        match key.read_anew(&self.client).await {
            Err(gone @ SignerError::NoSuchKey(_)) => Some(gone),
            Ok(known) => unable(&known, version, fingerprint),
            Err(_) => None,
        }
    }
}

/// Whether the signatures are those of another key pair than the one that is known. One call signs with one key pair, so
/// one signature tells. Callers check each of them; but only here it is still known what may lie behind.
fn is_foreign(
    key: &TransitKey,
    version: KeyVersion,
    inputs: &[SigningInput],
    results: &[Result<Signed, SignerError>],
) -> bool {
    let Some(known) = key.current() else { return false };
    let Some(published) = known.versions.get(&version) else { return false };
    let mut signed =
        inputs.iter().zip(results).filter_map(|(input, result)| Some((input, result.as_ref().ok()?)));
    signed.next().is_some_and(|(input, signed)| !published.public_key.verifies(input, &signed.signature))
}

/// The member, unless what it wants to be signed with can not sign; then it is told so.
fn still_there(known: &Key, member: Member) -> Option<Member> {
    let KeyReference { name: _, version, fingerprint } = member.task.signing.key;
    match known.versions.get(&version) {
        Some(published) if published.public_key.fingerprint() != fingerprint => {
            // Nobody but a caller who has gone takes no answer.
            let _ = member.reply.send(Err(unable(known, version, fingerprint)?));
            None
        }
        _ => Some(member),
    }
}

/// Why `version` with this fingerprint does not sign; none where it does.
fn unable(known: &Key, version: KeyVersion, fingerprint: Fingerprint) -> Option<SignerError> {
    if !known.in_vault {
        return Some(SignerError::NoSuchKey(known.name.clone()));
    }
    let published = known.versions.get(&version).map(|published| published.public_key.fingerprint());
    let reason = if version > known.latest {
        format!("the latest is {}", known.latest)
    } else if version < known.minimum {
        format!("Vault signs with versions from {} on", known.minimum)
    } else if published.is_none() {
        format!("Vault publishes no such version of this key, whose type is {}", known.key_type)
    } else if published != Some(fingerprint) {
        "the key was deleted and made anew, so that this version is another key pair now".to_owned()
    } else {
        return None;
    };
    Some(SignerError::VersionUnavailable { key: known.name.clone(), version, reason })
}

/// What a signing call says.
pub(super) fn body(version: KeyVersion, form: Form, inputs: &[SigningInput]) -> Vec<u8> {
    let item = |(index, input): (usize, &SigningInput)| SignItem {
        input: match input {
            SigningInput::Digest { bytes, .. } => STANDARD.encode(bytes),
            SigningInput::Message(message) => STANDARD.encode(message),
        },
        reference: index.to_string(),
    };
    let digests = match form {
        Form::Digest(_) => {
            Some(DigestParameters { marshaling_algorithm: "asn1", signature_algorithm: "pkcs1v15" })
        }
        Form::Message => None,
    };
    let parameters = SignParameters {
        prehashed: digests.is_some(),
        digests,
        key_version: version.get(),
        batch_input: inputs.iter().enumerate().map(item).collect(),
    };
    serde_json::to_vec(&parameters).expect("invariant: strings and numbers always become JSON")
}

/// The answer as signatures, one for each of `count` members.
fn signatures(
    reply: Reply<SignAnswer>,
    version: KeyVersion,
    batch: BatchId,
    members: Vec<BatchMember>,
) -> Result<Vec<Result<Signed, SignerError>>, SignerError> {
    let Reply { data: SignAnswer { batch_results: results }, request_id } = reply;
    let count = members.len();
    if results.len() != count {
        return Err(unavailable(format!("Vault gave {} results for {count} inputs", results.len())));
    }
    let signature = |((index, result), member): ((usize, &SignResult), BatchMember)| {
        if !result.reference.is_empty() && result.reference != index.to_string() {
            return Err(unavailable("Vault gave its results in another order"));
        }
        let signature = signature(result, version)?;
        Ok(Signed { signature, batch, request_id: request_id.clone(), member })
    };
    Ok(results.iter().enumerate().zip(members).map(signature).collect())
}

/// The bytes of a result. A signature of another version than the pinned one is never handed out:
/// the intent names the version.
pub(super) fn signature(result: &SignResult, version: KeyVersion) -> Result<Vec<u8>, SignerError> {
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
    let bytes =
        STANDARD.decode(base64).map_err(|_| unavailable("Vault gave a signature that is no base64"))?;
    if bytes.is_empty() {
        return Err(unavailable("Vault gave an empty signature"));
    }
    Ok(bytes)
}
