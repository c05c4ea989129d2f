//! Signing a file, by its digest or its content.

use bytes::Bytes;

use crate::domain::{
    Claim, Digest, Format, HashAlgorithm, KeyName, KeyType, KeyVersion, Operation, Record, SigningInput,
    Subject, Timestamp,
};
use crate::format::bundle;
use crate::ports::Question;

use super::budgets::{Cost, Paid};
use super::keyring::across_rotation;
use super::make::Order;
use super::wanted::{ChosenKey, Wanted};
use super::{Caller, Service, ServiceError};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct SignBlobRequest {
    pub file: File,
    /// As the log shows it. It is not signed.
    pub name: Option<String>,
    /// As the log shows it. It is not signed.
    pub media_type: Option<String>,
    /// May be left out where policy leaves one choice.
    pub key: Option<KeyName>,
    /// None is the latest.
    pub key_version: Option<KeyVersion>,
}

/// What is known of the file.
#[derive(Debug, Clone)]
pub enum File {
    Digest(Digest),
    Content(Bytes),
}

impl File {
    /// Its SHA-256.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Digest(digest) => *digest,
            Self::Content(content) => Digest::of(content),
        }
    }
}

/// A signed file.
#[derive(Debug, Clone)]
pub struct SignedBlob {
    pub record: Record,
    pub signature: Vec<u8>,
    pub signed_at: Timestamp,
    /// A Sigstore bundle, as JSON.
    pub bundle: String,
    /// That the log holds it, as `c2sp.org/tlog-proof@v1`.
    pub proof: Option<String>,
    /// Whether the signature was made just now.
    pub created: bool,
}

impl Service {
    /// Signs the file, or finds the same signature where the log has it: the same digest, key version, name and media
    /// type. Nothing is attached anywhere.
    ///
    /// When this returns a signature, its intent and outcome are durable in the log, and it verifies with the published
    /// public key of its version.
    ///
    /// # Errors
    /// Where the key can not sign a file of which it knows no more than that. Nothing is called signed that is not.
    pub async fn sign_blob(
        &self,
        caller: &Caller,
        request: &SignBlobRequest,
    ) -> Result<SignedBlob, ServiceError> {
        let paid = Paid::default();
        across_rotation(request.key_version, || self.sign_blob_once(caller, request, &paid)).await
    }

    async fn sign_blob_once(
        &self,
        caller: &Caller,
        request: &SignBlobRequest,
        paid: &Paid,
    ) -> Result<SignedBlob, ServiceError> {
        let subject = Subject::file(request.file.digest());
        let question = Question { digest: Some(subject.digest), ..self.question(caller, Operation::Blob) };
        let key = self.choose_key(caller, &question, request.key.as_ref())?;
        let decision = self.permit(caller, &Question { key: Some(&key), ..question })?;
        let chosen = self.choose_version(&key, request.key_version).await?;
        let wanted = wanted(&chosen, subject.clone(), request)?;
        let (record, created) = match self.logged(&wanted).await? {
            Some(record) => {
                self.covered(record.index).await?;
                (record, false)
            }
            None => {
                let cost = Cost { rule: decision.ruling.rule.as_deref(), limits: decision.limits };
                self.spend(caller, paid, std::iter::once(cost)).await?;
                let head = self.head(caller, Operation::Blob, subject, decision);
                let order = Order { head: &head, wanted: &wanted, delivery: None };
                let made = self.make(&[order]).await.pop();
                (made.expect("invariant: an order has an answer")?, true)
            }
        };
        let (signature, signed_at) = record.signature().expect("invariant: it was logged, or made just now");
        let signature = signature.clone();
        // Verifiers look for the digest that the key signs, and for SHA-256 where it signs the file itself.
        let digest = match &wanted.input {
            SigningInput::Digest { algorithm, bytes } => (*algorithm, bytes.as_slice()),
            SigningInput::Message(_) => (HashAlgorithm::Sha256, &wanted.payload.as_bytes()[..]),
        };
        let bundle = bundle::blob_bundle(&wanted.key.fingerprint, digest, &signature);
        let proof = self.proof(&record).await;
        Ok(SignedBlob { record, signature, signed_at, bundle, proof, created })
    }
}

/// The signature of a file. There is one layout for it.
const FORMAT: Format = Format::Bundle;

fn wanted(chosen: &ChosenKey, subject: Subject, request: &SignBlobRequest) -> Result<Wanted, ServiceError> {
    let claim = Claim::Blob { name: request.name.clone(), media_type: request.media_type.clone() };
    let digest = match &request.file {
        File::Content(content) => {
            return Wanted::document(chosen, subject, FORMAT, claim, content.clone().into());
        }
        File::Digest(digest) => *digest,
    };
    let (key, bytes) = (&chosen.key, digest.as_bytes().to_vec());
    match (&key.key_type, key.hash) {
        (KeyType::Ed25519, _) => Err(ServiceError::DigestUnsupported { key: key.name.clone(), hash: None }),
        (_, algorithm @ HashAlgorithm::Sha256) => {
            let input = SigningInput::Digest { algorithm, bytes };
            Wanted::unseen(chosen, subject, FORMAT, claim, digest, input)
        }
        (_, hash) => Err(ServiceError::DigestUnsupported { key: key.name.clone(), hash: Some(hash) }),
    }
}
