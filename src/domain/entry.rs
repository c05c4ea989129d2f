//! What the signing log keeps.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::{
    Annotations, BatchId, Claim, Digest, Format, ImageReference, KeyReference, Operation, Principal,
    Repository, RequestId, Ruling, SignatureId, SignatureIdentity, Timestamp,
};

/// One entry of the signing log. It is written once, as JSON; the log keeps those exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of this form.
    pub v: u8,
    pub time: Timestamp,
    /// The request; none for what the service does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// [`Principal`] as it is displayed; [`Entry::SERVICE`] for what the service does by itself.
    pub principal: String,
    /// What was asked for; none for what the service does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// None where it concerns no artifact.
    #[serde(flatten)]
    pub subject: Option<Subject>,
    /// What policy said; none where it was not asked.
    #[serde(flatten)]
    pub ruling: Option<Ruling>,
    #[serde(flatten)]
    pub event: Event,
}

/// What an entry speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// Where the image is; none for a file, which is nowhere that we know of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    pub digest: Digest,
}

impl Subject {
    /// The image; none for a file.
    pub fn image(&self) -> Option<ImageReference> {
        let repository = self.repository.clone()?;
        Some(ImageReference { repository, digest: self.digest })
    }

    pub const fn file(digest: Digest) -> Self {
        Self { repository: None, digest }
    }
}

impl From<&ImageReference> for Subject {
    fn from(image: &ImageReference) -> Self {
        Self { repository: Some(image.repository.clone()), digest: image.digest }
    }
}

/// What happened. In the JSON its name is `kind`, and its fields stand beside those of [`Entry`], so that none may have a
/// name that [`Subject`] or [`Ruling`] has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// Policy said no: to what the entry says, and, where that was asked again and again, to others of the same sort, of
    /// which the entry is the last one.
    Refusal {
        key: Option<super::KeyName>,
        #[serde(default = "one", skip_serializing_if = "is_one")]
        count: NonZeroU64,
        #[serde(default, skip_serializing_if = "Alike::is_kind")]
        alike: Alike,
        /// Where no rule has spoken: the rules that came nearest to allowing it, the nearest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        missing: Vec<Missing>,
    },
    /// A signature is about to be asked for. Durable before Vault is called.
    Intent {
        #[serde(flatten)]
        signing: Signing,
        batch: BatchId,
    },
    /// What became of an intent. Durable before the signature leaves.
    Outcome {
        #[serde(flatten)]
        signing: Signing,
        #[serde(flatten)]
        result: Outcome,
    },
    /// What became of the attempt to attach a signature.
    Attach {
        #[serde(flatten)]
        signing: Signing,
        #[serde(flatten)]
        result: AttachResult,
    },
    /// A signature that the registry had and this log did not. It verifies.
    Adopted {
        #[serde(flatten)]
        signing: Signing,
        #[serde(with = "base64_bytes")]
        signature: Vec<u8>,
        reference: String,
        manifest: Digest,
    },
    /// Somebody asked whether something is signed, and was told.
    Verification {
        key: Option<super::KeyName>,
        /// The version that made the signature; where there is none, the one that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_version: Option<super::KeyVersion>,
        /// What kind of statement was looked for; none for a signature.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        predicate_type: Option<String>,
        signed: bool,
    },
    /// The service saw a version of a key for the first time.
    KeyVersion {
        key: super::KeyName,
        key_version: super::KeyVersion,
        fingerprint: super::Fingerprint,
        /// When the key holder made it, as it says.
        created_at: Timestamp,
    },
    /// The policy in force changed, or is the first one.
    Policy {
        /// SHA-256 of the file.
        #[serde(rename = "policy_digest")]
        digest: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<Digest>,
        rules: usize,
        /// The process in which it is in force.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// The policy file changed and can not be used: what was in force stays so.
    PolicyRefused {
        /// SHA-256 of the file; none where it can not be read.
        #[serde(default, rename = "policy_digest", skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
        /// SHA-256 of the policy that stays in force.
        in_force: Digest,
        /// Why, without what the file quotes.
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// The service runs with another configuration than the one before.
    Configuration {
        /// SHA-256 of all settings but secrets.
        #[serde(rename = "configuration_digest")]
        digest: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<Digest>,
        /// The sections that differ from those of `previous`; none where there is no `previous`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<String>,
        /// The process that runs with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// The service began to write the log.
    Start {
        /// Of the program.
        version: String,
        /// Names this process among replicas.
        instance: String,
    },
    /// The service ended in good order.
    Stop { instance: String },
    /// Somebody read the log: once, and, where the same was asked again and again, as its pages are, so many times since
    /// the entry before.
    Read {
        /// What was asked, as it was asked.
        query: BTreeMap<String, String>,
        #[serde(default = "one", skip_serializing_if = "is_one")]
        count: NonZeroU64,
        #[serde(default, skip_serializing_if = "Alike::is_kind")]
        alike: Alike,
    },
    /// Somebody had a part of the log sent: once, and, where the same was asked again and again, so many times since the
    /// entry before, the last time this part.
    Export {
        /// What was asked, as it was asked.
        query: BTreeMap<String, String>,
        /// The first index of the range that was looked through.
        first: u64,
        /// The index behind its last.
        end: u64,
        #[serde(default = "one", skip_serializing_if = "is_one")]
        count: NonZeroU64,
        #[serde(default, skip_serializing_if = "Alike::is_kind")]
        alike: Alike,
    },
    /// Entries left the database for files.
    Archive {
        /// All entries below this index are in files.
        end: u64,
    },
    /// An operator took the log as it is for the truth although a checkpoint kept elsewhere says otherwise.
    AnchorReset {
        /// The size of the tree of that checkpoint.
        anchored: u64,
        /// In the operator's words.
        reason: String,
    },
}

/// What kept a rule from allowing something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its id.
    pub rule: String,
    /// The first condition that does not hold, with what was found.
    pub condition: String,
}

/// What refusals, or readings, that are counted together have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alike {
    /// Principal, operation, repository, key and rule; and what was asked of the log.
    #[default]
    Kind,
    /// The principal.
    Principal,
    /// Nothing.
    Nothing,
}

impl Alike {
    const fn is_kind(&self) -> bool {
        matches!(self, Self::Kind)
    }
}

/// What is being signed, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    pub id: SignatureId,
    pub key: KeyReference,
    pub format: Format,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    #[serde(default, skip_serializing_if = "Claim::is_image")]
    pub claim: Claim,
    /// Digest of the document that is signed: the simple-signing payload or the file, which are signed as they are, or the
    /// in-toto statement, which is signed in its DSSE encoding.
    pub payload: Digest,
}

/// How an intent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Outcome {
    /// The signature verifies with the published public key of its version.
    Signed {
        batch: BatchId,
        #[serde(with = "base64_bytes")]
        signature: Vec<u8>,
        signed_at: Timestamp,
        /// Vault's own name of the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vault_request_id: Option<String>,
    },
    /// There is no signature, or none that may be used.
    Failed { code: String },
}

/// How an attempt to attach ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum AttachResult {
    /// Read back from the registry.
    Attached { reference: String, manifest: Digest },
    /// Not there as far as we know. It will be tried again.
    Failed { code: String },
    /// It was attached, and when it was looked at again it was gone. It will be put back.
    Missing { reference: String },
    /// Not attached, and not tried again unless somebody asks for it.
    GivenUp { code: String },
}

impl Entry {
    /// The version of the form that [`Entry`] writes.
    pub const VERSION: u8 = 1;

    /// The principal of entries about the service itself. No caller's name is without a colon.
    pub const SERVICE: &'static str = "signet";

    /// The names of all kinds of events, as [`Entry::kind`] gives them.
    pub const KINDS: [&'static str; 16] = [
        "refusal",
        "intent",
        "outcome",
        "attach",
        "adopted",
        "verification",
        "key-version",
        "policy",
        "policy-refused",
        "configuration",
        "start",
        "stop",
        "read",
        "export",
        "archive",
        "anchor-reset",
    ];

    /// The name of the event's kind, as in the JSON.
    pub const fn kind(&self) -> &'static str {
        match self.event {
            Event::Refusal { .. } => "refusal",
            Event::Intent { .. } => "intent",
            Event::Outcome { .. } => "outcome",
            Event::Attach { .. } => "attach",
            Event::Adopted { .. } => "adopted",
            Event::Verification { .. } => "verification",
            Event::KeyVersion { .. } => "key-version",
            Event::Policy { .. } => "policy",
            Event::PolicyRefused { .. } => "policy-refused",
            Event::Configuration { .. } => "configuration",
            Event::Start { .. } => "start",
            Event::Stop { .. } => "stop",
            Event::Read { .. } => "read",
            Event::Export { .. } => "export",
            Event::Archive { .. } => "archive",
            Event::AnchorReset { .. } => "anchor-reset",
        }
    }

    /// What the entry's signature is; none where it speaks of none.
    pub const fn signing(&self) -> Option<&Signing> {
        match &self.event {
            Event::Intent { signing, .. }
            | Event::Outcome { signing, .. }
            | Event::Attach { signing, .. }
            | Event::Adopted { signing, .. } => Some(signing),
            _ => None,
        }
    }

    /// The name of the key that the entry speaks of.
    pub fn key(&self) -> Option<&super::KeyName> {
        match &self.event {
            Event::Refusal { key, .. } | Event::Verification { key, .. } => key.as_ref(),
            Event::KeyVersion { key, .. } => Some(key),
            _ => self.signing().map(|signing| &signing.key.name),
        }
    }

    /// The version of [`Entry::key`].
    pub fn key_version(&self) -> Option<super::KeyVersion> {
        match &self.event {
            Event::Verification { key_version, .. } => *key_version,
            Event::KeyVersion { key_version, .. } => Some(*key_version),
            _ => self.signing().map(|signing| signing.key.version),
        }
    }

    /// The name under which the entry's signature is found again: only entries that hold a
    /// signature have one.
    pub fn identity(&self) -> Option<SignatureIdentity> {
        match &self.event {
            Event::Outcome { signing, result: Outcome::Signed { .. } } | Event::Adopted { signing, .. } => {
                Some(SignatureIdentity::of(self.subject.as_ref()?, signing))
            }
            _ => None,
        }
    }

    /// How many refusals the entry tells of.
    pub const fn refusals(&self) -> u64 {
        match &self.event {
            Event::Refusal { count, .. } => count.get(),
            _ => 0,
        }
    }

    /// The rule that decided; none where no rule spoke, or policy was not asked.
    pub fn rule(&self) -> Option<&str> {
        self.ruling.as_ref()?.rule.as_deref()
    }

    /// The artifact's repository; none where it is in none, or there is none.
    pub fn repository(&self) -> Option<&Repository> {
        self.subject.as_ref()?.repository.as_ref()
    }

    /// Most entries are a bit shorter.
    const USUAL_BYTES: usize = 1024;

    /// The bytes that the log keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::USUAL_BYTES);
        serde_json::to_writer(&mut bytes, self).expect("invariant: every field of an entry becomes JSON");
        bytes
    }

    /// The same request's next entry.
    pub fn followed_by(&self, time: Timestamp, event: Event) -> Self {
        Self { time, event, ..self.clone() }
    }

    /// An entry about what the service does by itself.
    pub fn of_service(time: Timestamp, event: Event) -> Self {
        Self {
            v: Self::VERSION,
            time,
            request_id: None,
            principal: Self::SERVICE.to_owned(),
            operation: None,
            subject: None,
            ruling: None,
            event,
        }
    }

    /// The head of a request's entries.
    pub fn new(
        time: Timestamp,
        request_id: RequestId,
        principal: &Principal,
        operation: Operation,
        subject: Option<Subject>,
        ruling: Ruling,
        event: Event,
    ) -> Self {
        Self {
            v: Self::VERSION,
            time,
            request_id: Some(request_id),
            principal: principal.to_string(),
            operation: Some(operation),
            subject,
            ruling: Some(ruling),
            event,
        }
    }
}

impl Event {
    /// One refusal.
    pub const fn refusal(key: Option<super::KeyName>, missing: Vec<Missing>) -> Self {
        Self::Refusal { key, count: NonZeroU64::MIN, alike: Alike::Kind, missing }
    }

    /// Somebody had the entries from `first` to before `end` looked through and sent, once.
    pub const fn export(query: BTreeMap<String, String>, first: u64, end: u64) -> Self {
        Self::Export { query, first, end, count: NonZeroU64::MIN, alike: Alike::Kind }
    }

    /// Somebody read the log, once.
    pub const fn read(query: BTreeMap<String, String>) -> Self {
        Self::Read { query, count: NonZeroU64::MIN, alike: Alike::Kind }
    }
}

const fn one() -> NonZeroU64 {
    NonZeroU64::MIN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over like this")]
const fn is_one(count: &NonZeroU64) -> bool {
    count.get() == 1
}

/// Bytes as standard base64 with padding (RFC 4648).
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}
