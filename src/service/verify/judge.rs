//! What both layouts have in common.

use serde_json::Value;
use tokio::sync::SemaphorePermit;

use crate::domain::{Claim, Content, Digest, Key, KeyReference};
use crate::format::dsse::{self, Envelope};
use crate::format::statement::{self, SIGNATURE_PREDICATE};
use crate::ports::Registry;

use super::{LargeBlobs, Statement, Verdict, VerifyRequest};

/// The question, and whom to ask.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    pub registry: &'a dyn Registry,
    pub large: &'a LargeBlobs,
    pub request: &'a VerifyRequest,
    /// The type of the attestations that are asked for; none where signatures are.
    pub predicate_type: Option<&'a str>,
    pub key: &'a Key,
}

/// What was found out about a signature.
pub type Finding = (Verdict, Option<Statement>);

/// A blob, and the room that it takes.
pub struct Opened<'a> {
    bytes: Vec<u8>,
    _room: Option<SemaphorePermit<'a>>,
}

/// Signatures of one image. cosign gives up beyond, and verifies none of them.
pub const MAX_SIGNATURES: usize = 1000;

/// Blobs of one image that are fetched at once.
pub const OPENED_AT_ONCE: usize = 8;

/// Bytes of a blob that is fetched beside others, and of a signature. Attestations may have more.
pub const MAX_SMALL: u64 = 1024 * 1024;

impl Opened<'_> {
    /// The bytes, which still take up room as long as this lives.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Judge<'_> {
    /// Whether an attestation is asked for.
    pub const fn attests(&self) -> bool {
        self.predicate_type.is_some()
    }

    /// A blob of `size` bytes. What is announced as larger than `limit` is not asked for.
    pub async fn open(&self, digest: Digest, size: u64, limit: u64) -> Result<Opened<'_>, Verdict> {
        if size > limit {
            return Err(Verdict::TooLarge);
        }
        let room = match size > MAX_SMALL {
            true => self.large.0.acquire().await.ok(),
            false => None,
        };
        let limit = if room.is_some() { limit } else { MAX_SMALL };
        let blob = self.registry.blob(&self.request.image.repository, digest, limit).await?;
        let bytes = blob.ok_or(Verdict::PayloadMissing)?;
        // Verifiers take no blob of another size than the manifest says.
        if bytes.len() as u64 == size { Ok(Opened { bytes, _room: room }) } else { Err(Verdict::Malformed) }
    }

    /// What can be said of something that says of itself that it has a predicate of this type, without opening it.
    pub fn unopened(&self, size: u64, claimed_type: Option<&str>) -> Option<Verdict> {
        let wanted = self.predicate_type.unwrap_or(SIGNATURE_PREDICATE);
        let is_another = claimed_type.is_some_and(|claimed| claimed != wanted);
        (size > MAX_SMALL && is_another).then_some(Verdict::PredicateType)
    }

    /// The version of the key that made `signature` over `signed`, the newest first.
    pub fn signatory(&self, signed: &Content, signature: &[u8]) -> Option<KeyReference> {
        let input = self.key.input(signed);
        let mut versions = self.key.versions.iter().rev();
        let (version, _) =
            versions.find(|(_, published)| published.public_key.verifies(&input, signature))?;
        self.key.reference(*version)
    }

    /// What is to be said of an envelope.
    pub fn envelope(&self, envelope: &Envelope) -> Finding {
        if envelope.payload_type != dsse::IN_TOTO {
            return (Verdict::NoStatement, None);
        }
        let signed = envelope.signed();
        let made = |signature: &Vec<u8>| Some((self.signatory(&signed, signature)?, signature.clone()));
        let Some((key, signature)) = envelope.signatures.iter().find_map(made) else {
            return (Verdict::OtherKey, None);
        };
        let Ok(said) = statement::Statement::parse(&envelope.payload) else {
            return (Verdict::Malformed, None);
        };
        let hex = self.request.image.digest.hex();
        // The first subject that is this image decides, as for other verifiers.
        let subject = said.subject.iter().find(|subject| subject.digest.get("sha256") == Some(&hex));
        let (is_it, annotations) = match subject {
            Some(subject) => (true, subject.annotations.clone()),
            None => (false, Default::default()),
        };
        let statement = Statement {
            key,
            annotations,
            predicate_type: Some(said.predicate_type.to_string()),
            signed_at: None,
            signature,
            claim: claim(&said),
        };
        let wanted = self.predicate_type.unwrap_or(SIGNATURE_PREDICATE);
        let verdict = match is_it {
            false => Verdict::DigestMismatch,
            true if said.predicate_type != wanted => Verdict::PredicateType,
            true => self.answers(&statement),
        };
        (verdict, Some(statement))
    }

    /// [`Verdict::Verified`] where `statement`, which is of this image, says all that is asked for.
    pub fn answers(&self, statement: &Statement) -> Verdict {
        let said = |(key, value): (&String, &String)| {
            statement.annotations.get(key).and_then(Value::as_str) == Some(value.as_str())
        };
        if self.request.key_version.is_some_and(|version| version != statement.key.version) {
            Verdict::OtherVersion
        } else if !self.request.annotations.as_map().iter().all(said) {
            Verdict::AnnotationsMissing
        } else {
            Verdict::Verified
        }
    }
}

/// What our log calls this.
fn claim(statement: &statement::Statement<'_>) -> Claim {
    match &*statement.predicate_type {
        SIGNATURE_PREDICATE => Claim::Image,
        predicate_type => Claim::Attestation {
            predicate_type: predicate_type.to_owned(),
            predicate: Digest::of(statement.predicate().unwrap_or_default()),
        },
    }
}
