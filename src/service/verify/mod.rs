//! Is this image signed, and by which version of the key?
//!
//! The answer is that of the stock verifiers, and stricter where they take what nobody meant: another repository's
//! payload, a layer of another media type, an attestation in place of a signature.

mod bundles;
mod judge;
mod layers;
mod verdict;

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::sync::Semaphore;

use crate::domain::{
    Annotations, Attachment, Claim, Digest, Entry, Event, Format, ImageReference, KeyName, KeyReference,
    KeyType, KeyVersion, Operation, SignatureIdentity, Subject, Timestamp,
};
use crate::format::predicate::{PredicateType, PredicateTypeError};
use crate::ports::Question;

use self::judge::Judge;
use super::existing::resolve;
use super::{Caller, Service, ServiceError};

pub use self::verdict::Verdict;

/// What is asked.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    pub image: ImageReference,
    pub key: KeyName,
    /// None is any version, also one that signs no more.
    pub key_version: Option<KeyVersion>,
    /// What the signature has to say, whatever else it says.
    pub annotations: Annotations,
    /// Asks for an attestation of this type instead of a signature: a short name, or a URI.
    pub predicate_type: Option<String>,
}

/// Everything that was found on an image.
#[derive(Debug, Clone)]
pub struct Verification {
    pub image: ImageReference,
    pub key: KeyName,
    /// Those of the `cosign` layout first, each layout in the registry's order.
    pub signatures: Vec<Inspected>,
}

/// One signature, and what is to be said of it.
#[derive(Debug, Clone)]
pub struct Inspected {
    pub format: Format,
    pub attachment: Attachment,
    /// The blob with the payload, the envelope or the bundle; none where the manifest names none.
    pub blob: Option<Digest>,
    pub verdict: Verdict,
    /// None where no version of the key made the signature: then nothing that it says is told.
    pub statement: Option<Statement>,
}

/// What a signature of the key says.
#[derive(Debug, Clone)]
pub struct Statement {
    pub key: KeyReference,
    pub annotations: BTreeMap<String, Value>,
    /// None for a simple-signing payload.
    pub predicate_type: Option<String>,
    /// Where our log knows the signature.
    pub signed_at: Option<Timestamp>,
    signature: Vec<u8>,
    claim: Claim,
}

/// Whether the log has an entry for each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerificationEntries {
    None,
    /// Where the log takes it at once.
    Offered,
    /// Durable before the answer.
    Required,
}

/// How many large attestations are held at once, in all verifications together.
#[derive(Debug)]
pub struct LargeBlobs(Semaphore);

impl Default for LargeBlobs {
    fn default() -> Self {
        Self(Semaphore::new(2))
    }
}

impl Verification {
    /// Whether one of the signatures is all that was asked for.
    pub fn is_signed(&self) -> bool {
        self.signatures.iter().any(|signature| signature.verdict.is_verified())
    }

    /// The version that made the first of the signatures that are all that was asked for.
    fn key_version(&self) -> Option<KeyVersion> {
        let verified = self.signatures.iter().find(|signature| signature.verdict.is_verified())?;
        Some(verified.statement.as_ref()?.key.version)
    }
}

impl Service {
    /// What a verifier that trusts the key finds on the image. Asks Vault only where nothing is known of the key.
    ///
    /// Once an image has a bundle, verifiers look at bundles alone, and so signatures of the other layout count
    /// no more: [`Verdict::Overlooked`].
    ///
    /// # Errors
    /// Where nothing verifies, and something could not be looked at: "could not tell" is never "unsigned".
    pub async fn verify(
        &self,
        caller: &Caller,
        request: VerifyRequest,
    ) -> Result<Verification, ServiceError> {
        let image = &request.image;
        self.registry_settings(image)?;
        let predicate_type = request.predicate_type.as_deref().map(predicate_type).transpose()?;
        let question = Question {
            repository: Some(&image.repository),
            digest: Some(image.digest),
            key: Some(&request.key),
            predicate_type: predicate_type.as_ref().map(PredicateType::as_str),
            annotations: Some(&request.annotations),
            ..self.question(caller, Operation::Verify)
        };
        let (now, ruling) = (question.now, self.permit(caller, &question)?.ruling);
        let asked_version = request.key_version;
        let key = self.signer.key(&request.key).await?;
        if let KeyType::Unsupported(_) = key.key_type {
            return Err(ServiceError::KeyTypeUnsupported {
                key: request.key,
                key_type: key.key_type.clone(),
            });
        }
        if let Some(version) = request.key_version
            && !key.versions.contains_key(&version)
        {
            return Err(ServiceError::KeyVersionUnavailable { key: request.key, version, usable: None });
        }

        let judge = Judge {
            registry: self.registry.as_ref(),
            large: &self.large_blobs,
            request: &request,
            predicate_type: predicate_type.as_ref().map(PredicateType::as_str),
            key: &key,
        };
        let exists = resolve(self.registry.as_ref(), image);
        let (_, mut signatures, bundles) = tokio::try_join!(exists, judge.layers(), judge.bundles())?;
        if bundles.iter().any(|bundle| bundle.verdict.is_of_a_bundle()) {
            signatures.iter_mut().for_each(|layer| layer.verdict.overlook());
        }
        signatures.extend(bundles);
        let mut verification = Verification { image: request.image, key: request.key, signatures };
        if !verification.is_signed()
            && let Some(error) = verification.signatures.iter().find_map(|found| found.verdict.unknown())
        {
            return Err(error.clone().into());
        }
        self.date(&mut verification).await;
        let event = Event::Verification {
            key: Some(verification.key.clone()),
            key_version: verification.key_version().or(asked_version),
            predicate_type: predicate_type.map(|name| name.as_str().to_owned()),
            signed: verification.is_signed(),
        };
        let subject = Some(Subject::from(&verification.image));
        let (id, who) = (caller.request_id.clone(), &caller.principal);
        let entry = Entry::new(now, id, who, Operation::Verify, subject, ruling, event);
        match self.verifications {
            VerificationEntries::None => {}
            VerificationEntries::Offered => self.log.offer(entry),
            VerificationEntries::Required => drop(self.log.append(vec![entry]).await?),
        }
        Ok(verification)
    }

    /// Adds what our log knows of signatures that verify. It is no part of the answer whether it does.
    async fn date(&self, verification: &mut Verification) {
        let subject = Subject::from(&verification.image);
        for found in &mut verification.signatures {
            if !found.verdict.is_verified() {
                continue;
            }
            if let Some(statement) = &mut found.statement
                && let Some(identity) = statement.identity(&subject, found.format)
                && let Ok(Some(record)) = self.log.find(identity).await
                && let Some((signature, signed_at)) = record.signature()
                && *signature == statement.signature
            {
                statement.signed_at = Some(signed_at);
            }
        }
    }
}

impl Statement {
    /// The name that our log has for the signature, if it knows it; none for what Signet does not write.
    fn identity(&self, subject: &Subject, format: Format) -> Option<SignatureIdentity> {
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let annotations = self.annotations.iter().map(text).collect::<Option<_>>()?;
        let annotations = Annotations::new(annotations).ok()?;
        Some(SignatureIdentity::of_parts(subject, &self.key, format, &annotations, &self.claim))
    }
}

fn predicate_type(text: &str) -> Result<PredicateType, ServiceError> {
    text.parse().map_err(|error| match error {
        PredicateTypeError::Signature => ServiceError::Invalid(
            "Leave `predicate_type` out: signatures are what is looked for then.".to_owned(),
        ),
        error => ServiceError::PredicateType(error),
    })
}
