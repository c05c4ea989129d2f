//! Why an operation did not do what was asked.

use std::time::Duration;

use super::{Budget, Per};
use crate::domain::{
    AnnotationsError, DigestError, Format, HashAlgorithm, ImageError, ImageReference, KeyName, KeyType,
    KeyVersion, Operation, SignatureId, SigningInput,
};
use crate::format::predicate::{self, PredicateError, PredicateTypeError};
use crate::ports::{LogError, RegistryError, SignerError};

/// Knows nothing of HTTP. `Display` is for our log; callers get [`ServiceError::detail`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceError {
    #[error("policy denies it")]
    Forbidden,
    /// `retry_after`: when the budget may reach again; none where it never will.
    #[error("a budget of signatures does not reach: {budget:?}")]
    RateLimited { budget: Budget, retry_after: Option<Duration> },
    #[error("the request is not valid: {0}")]
    Invalid(String),
    #[error("{0}")]
    Image(#[from] ImageError),
    #[error("{0}")]
    Annotations(#[from] AnnotationsError),
    #[error("{0}")]
    PredicateType(#[from] PredicateTypeError),
    #[error("{0}")]
    Predicate(#[from] PredicateError),
    #[error("the predicate has {size} bytes")]
    PredicateTooLarge { size: usize },
    #[error("the file has more than {limit} bytes")]
    BlobTooLarge { limit: usize },
    #[error("{0}")]
    BlobDigest(DigestError),
    /// `hash`: what the key hashes with; none where it does not.
    #[error("key {key} can not sign a sha256 digest")]
    DigestUnsupported { key: KeyName, hash: Option<HashAlgorithm> },
    #[error("bundles can not be replaced")]
    ReplaceUnsupported,
    #[error("a choice of keys: {0:?}")]
    KeyRequired(Vec<KeyName>),
    #[error("key {key} is not for {operation}")]
    KeyPurpose { key: KeyName, operation: Operation },
    #[error("the index has more than {limit} members")]
    IndexTooLarge { limit: usize },
    #[error("image {0} is not in its registry")]
    ImageNotFound(ImageReference),
    #[error("entries below {below} are archived")]
    Archived { below: u64 },
    #[error("no signature {0}")]
    SignatureNotFound(SignatureId),
    #[error("version {version} of {key} is not usable")]
    KeyVersionUnavailable { key: KeyName, version: KeyVersion, usable: Option<(KeyVersion, KeyVersion)> },
    #[error("key {key} is of type {key_type}")]
    KeyTypeUnsupported { key: KeyName, key_type: KeyType },
    #[error("{format} is not possible on {host}: {reason}")]
    FormatUnsupported { host: String, format: Format, reason: String },
    #[error("the image has {has} signatures, {wanted} were asked for")]
    LayoutConflict { has: Format, wanted: Format },
    #[error("{reference} holds something else: {reason}")]
    Occupied { reference: String, reason: String },
    #[error("the image has {limit} signatures already")]
    TooManySignatures { limit: usize },
    #[error("the image has {has} signatures, and verifiers take {limit}")]
    TooManyToVerify { has: usize, limit: usize },
    #[error(transparent)]
    Signer(#[from] SignerError),
    #[error(transparent)]
    Registry(RegistryError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ServiceError {
    /// The stable code of the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::RateLimited { .. } => "rate-limited",
            Self::Image(ImageError::DigestRequired) => "digest-required",
            Self::Annotations(AnnotationsError::TooLarge(_))
            | Self::Signer(SignerError::MessageTooLarge { .. })
            | Self::PredicateTooLarge { .. }
            | Self::BlobTooLarge { .. }
            | Self::IndexTooLarge { .. } => "payload-too-large",
            Self::Invalid(_)
            | Self::Image(_)
            | Self::Annotations(_)
            | Self::PredicateType(_)
            | Self::Predicate(_)
            | Self::BlobDigest(_)
            | Self::KeyRequired(_)
            | Self::KeyPurpose { .. }
            | Self::Registry(RegistryError::NotConfigured(_)) => "invalid-request",
            Self::ImageNotFound(_) => "image-not-found",
            Self::SignatureNotFound(_) => "signature-not-found",
            Self::Archived { .. } => "archived",
            Self::KeyVersionUnavailable { .. } | Self::Signer(SignerError::VersionUnavailable { .. }) => {
                "key-version-unavailable"
            }
            Self::DigestUnsupported { .. } => "digest-unsupported-for-key",
            Self::KeyTypeUnsupported { .. }
            | Self::ReplaceUnsupported
            | Self::FormatUnsupported { .. }
            | Self::Registry(
                RegistryError::ReferrersUnsupported { .. } | RegistryError::ManifestRefused { .. },
            ) => "format-unsupported",
            Self::LayoutConflict { .. }
            | Self::Occupied { .. }
            | Self::Registry(RegistryError::Occupied { .. }) => "layout-conflict",
            Self::TooManySignatures { .. } | Self::TooManyToVerify { .. } => "too-many-signatures",
            Self::Signer(SignerError::UnknownKey(_) | SignerError::NoSuchKey(_)) => "key-not-found",
            Self::Signer(SignerError::Unavailable { .. }) => "vault-unavailable",
            Self::Signer(SignerError::Sealed) => "vault-sealed",
            Self::Signer(SignerError::Denied { .. }) => "vault-denied",
            Self::Signer(SignerError::Timeout(_)) | Self::Registry(RegistryError::Timeout { .. }) => {
                "timeout"
            }
            Self::Signer(SignerError::Log(_) | SignerError::Unfit { .. }) | Self::Log(_) => "log-unavailable",
            Self::Registry(
                RegistryError::Unavailable { .. }
                | RegistryError::TooManyRequests { .. }
                | RegistryError::TooLarge { .. }
                | RegistryError::Protocol { .. },
            ) => "registry-unavailable",
            Self::Registry(RegistryError::Denied { .. }) => "registry-denied",
            Self::Registry(RegistryError::TagProtected { .. }) => "tag-protected",
        }
    }

    /// Whether the same request may succeed later without anybody changing it.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Log(_)
                | Self::Signer(
                    SignerError::Unavailable { .. }
                        | SignerError::Sealed
                        | SignerError::Denied { .. }
                        | SignerError::Timeout(_)
                        | SignerError::Log(_)
                        | SignerError::Unfit { .. }
                )
                | Self::Registry(
                    RegistryError::Unavailable { .. }
                        | RegistryError::TooManyRequests { .. }
                        | RegistryError::Denied { .. }
                        | RegistryError::Timeout { .. }
                        | RegistryError::TooLarge { .. }
                        | RegistryError::Protocol { .. }
                )
        )
    }

    /// How long Vault or the registry asked to be left alone.
    pub const fn asked_to_wait(&self) -> Option<Duration> {
        match self {
            Self::Signer(SignerError::Unavailable { retry_after, .. })
            | Self::Registry(
                RegistryError::Unavailable { retry_after, .. }
                | RegistryError::TooManyRequests { retry_after, .. },
            ) => *retry_after,
            _ => None,
        }
    }

    /// How long to wait before trying again; none where waiting does not help.
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = match self {
            // Somebody has to do something about these: no use in hurrying.
            Self::Signer(SignerError::Sealed | SignerError::Denied { .. })
            | Self::Registry(RegistryError::Denied { .. }) => Some(Duration::from_secs(30)),
            Self::RateLimited { retry_after, .. } => return *retry_after,
            error => error.asked_to_wait(),
        };
        self.is_retryable().then(|| asked.unwrap_or(Duration::from_secs(2)))
    }

    /// The sentence for the caller: what is wrong and what to do, and nothing of what lies behind.
    pub fn detail(&self) -> String {
        match self {
            Self::Forbidden => {
                "You may not do this. Ask the people who own the signing policy for a rule that allows it."
                    .into()
            }
            Self::RateLimited { budget, retry_after } => budget_sentence(budget, *retry_after),
            Self::Invalid(reason) => reason.clone(),
            Self::Image(ImageError::Digest(error)) => digest_sentence(error),
            Self::Image(error) => sentence(error),
            Self::Annotations(error) => sentence(error),
            Self::PredicateType(error) => format!("`predicate_type`: {}", sentence(error)),
            Self::Predicate(error) => sentence(error),
            Self::PredicateTooLarge { size } => format!(
                "The predicate has {size} bytes, and at most {} are attested. Sign the digest of a file that holds it: `POST /v1/blobs`.",
                predicate::MAX_BYTES
            ),
            Self::BlobTooLarge { limit } => {
                format!("The file has more than {limit} bytes. Send its `digest` instead of its `content`.")
            }
            Self::BlobDigest(error) => format!("`digest`: {}", sentence(error)),
            Self::DigestUnsupported { key, hash: None } => format!(
                "Key `{key}` is of type ed25519, which signs no digest but the whole content. Send `content`, or name a key of another type."
            ),
            Self::DigestUnsupported { key, hash: Some(hash) } => format!(
                "Key `{key}` hashes with {hash}, so that it can not sign a sha256 digest. Send `content`, or name a key that hashes with {}.",
                HashAlgorithm::Sha256
            ),
            Self::ReplaceUnsupported => {
                "The image has bundles, which are manifests of their own that stay until somebody deletes them. Leave `replace` out, or ask for the format `cosign`.".into()
            }
            Self::KeyRequired(names) => {
                format!("Name a `key`: you may use {}.", list(names))
            }
            Self::KeyPurpose { key, operation } => {
                let what = match operation {
                    Operation::Attest => "attestations",
                    Operation::Blob => "files",
                    Operation::Sign
                    | Operation::Verify
                    | Operation::LogRead
                    | Operation::PolicyExplain => "signatures of images",
                };
                format!("Key `{key}` is not for {what}. Name another key.")
            }
            Self::IndexTooLarge { limit } => format!(
                "The index and what it lists are more than {limit} manifests. Sign its parts by their own digests, or have `limits.index_members` raised."
            ),
            Self::ImageNotFound(image) => {
                format!(
                    "{image} is not in its registry. Push the image first, and check repository and digest."
                )
            }
            Self::SignatureNotFound(id) => {
                format!("There is no signature {id} that you may see. Check the id.")
            }
            Self::Archived { below } => format!(
                "Entries below {below} are archived: they are no longer in the database, but in the files `tile/entries/…` of the archive, which the operators of this Signet have (`log.archive`). Ask them, or begin at entry {below}."
            ),
            Self::KeyVersionUnavailable { key, version, usable } => match usable {
                Some((first, last)) => format!(
                    "Version {version} of key `{key}` can not sign now. Versions {first} to {last} can; leave `key_version` out for the latest."
                ),
                None => format!("Key `{key}` has no version {version}."),
            },
            Self::KeyTypeUnsupported { key, key_type } => {
                let types = KeyType::SUPPORTED.map(|known| known.to_string()).join(", ");
                format!("Key `{key}` is of type {key_type}. Signet signs with {types}: name another key.")
            }
            Self::FormatUnsupported { host, format, reason } => format!(
                "{host} can not hold signatures in the format `{format}`: {reason}. Ask for another format."
            ),
            Self::LayoutConflict { has, wanted } => format!(
                "The image has signatures in the format `{has}`; verifiers would overlook some of them beside `{wanted}`. Leave `format` out, or ask for `{has}`."
            ),
            Self::Occupied { reference, reason } => format!(
                "{reference} is where the signatures belong, but {reason}. Have it removed, then try again."
            ),
            Self::TooManySignatures { limit } => format!(
                "The image has {limit} signatures already, and verifiers give up beyond. Remove old ones, or have `max_signatures_per_image` raised."
            ),
            Self::TooManyToVerify { has, limit } => format!(
                "The image has {has} signatures, and verifiers refuse an image with more than {limit} altogether. Have old ones removed."
            ),
            Self::Signer(error) => signer_sentence(error),
            Self::Registry(error) => registry_sentence(error),
            Self::Log(_) => LOG_SENTENCE.into(),
        }
    }
}

impl From<RegistryError> for ServiceError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::ReferrersUnsupported { host, reason } => {
                Self::FormatUnsupported { host, format: Format::Bundle, reason }
            }
            RegistryError::Occupied { reference, reason, .. } => Self::Occupied { reference, reason },
            error => Self::Registry(error),
        }
    }
}

fn budget_sentence(budget: &Budget, retry_after: Option<Duration>) -> String {
    let Budget { rule, per, limit } = budget;
    let whose =
        rule.as_ref().map_or("Signet lets you".to_owned(), |rule| format!("The rule `{rule}` lets you"));
    let (per, advice) = match (per, retry_after) {
        (Per::Hour, Some(_)) => ("within an hour", "Try again after the time in `Retry-After`"),
        (Per::Hour, None) => ("within an hour", "Waiting does not help: ask for fewer at once"),
        (Per::Token, _) => ("with one token", "Waiting does not help: use the token of another job"),
    };
    let many = if *limit == 1 { "signature" } else { "signatures" };
    format!(
        "{whose} have {limit} {many} made {per}, and this request goes beyond. {advice}, or have the limit raised."
    )
}

const LOG_SENTENCE: &str = "The signing log can not be written, or its newest checkpoint not be signed, and no signature leaves without both. Try again later.";

fn signer_sentence(error: &SignerError) -> String {
    match error {
        SignerError::UnknownKey(name) | SignerError::NoSuchKey(name) => {
            format!("There is no key `{name}`. `GET /v1/keys` lists the keys.")
        }
        SignerError::VersionUnavailable { key, version, .. } => {
            format!("Version {version} of key `{key}` can not sign now. Leave `key_version` out for the latest.")
        }
        SignerError::MessageTooLarge { key, bytes } => message_sentence(key, *bytes),
        SignerError::Unavailable { .. } => "Vault can not be reached or failed, so that there is no signature. Try again later.".into(),
        SignerError::Sealed => "Vault is sealed. Its operators have to unseal it. Try again later.".into(),
        SignerError::Denied { .. } => {
            "Vault does not let Signet sign now. Its operators have to look at Signet's token and policy. Try again later.".into()
        }
        SignerError::Timeout(after) => {
            format!("Vault did not answer within {after:?}, so that there is no signature. Try again later.")
        }
        SignerError::Log(_) | SignerError::Unfit { .. } => LOG_SENTENCE.into(),
    }
}

fn message_sentence(key: &KeyName, size: usize) -> String {
    format!(
        "Key `{key}` is an Ed25519 key, which signs all of the {size} bytes and not their hash, and Vault takes at most {} bytes. Send less, or name a key of another type.",
        SigningInput::MAX_MESSAGE
    )
}

fn registry_sentence(error: &RegistryError) -> String {
    const AGAIN: &str = "Try again later: a signature that was made is found again.";
    match error {
        RegistryError::NotConfigured(host) => format!(
            "Signet knows no registry `{host}`. Check the image's host, or have the registry configured in `[[registries]]`."
        ),
        RegistryError::TooManyRequests { host, .. } => format!("{host} asks for fewer requests. {AGAIN}"),
        RegistryError::Denied { host, .. } => format!(
            "{host} does not let Signet read or write there. Signet's operators have to look at its credentials. {AGAIN}"
        ),
        RegistryError::TagProtected { host, tag, .. } => {
            let pattern = match tag.rsplit_once('.') {
                Some((_, "sig" | "att")) => r"^sha256-.*\.(sig|att)$",
                _ => "^sha256-[0-9a-f]{64}$",
            };
            format!(
                "{host} does not let Signet write the tag `{tag}`, as a rule there protects tags or makes them immutable. Have tags like `{pattern}` excluded from that rule, then ask again: a signature that was made is found again."
            )
        }
        RegistryError::ManifestRefused { host, .. } => format!(
            "{host} does not take the OCI manifests that signatures are kept in. Have it upgraded, or set to take them, then ask again: a signature that was made is found again."
        ),
        RegistryError::Timeout { host, after } => format!("{host} did not answer within {after:?}. {AGAIN}"),
        RegistryError::Unavailable { host, .. }
        | RegistryError::ReferrersUnsupported { host, .. }
        | RegistryError::Occupied { host, .. }
        | RegistryError::TooLarge { host, .. }
        | RegistryError::Protocol { host, .. } => format!("{host} can not be reached or failed. {AGAIN}"),
    }
}

fn digest_sentence(error: &DigestError) -> String {
    format!("{} The digest is what `crane digest` or the push printed.", sentence(error))
}

/// An error's text as a sentence: a capital in front, a full stop behind.
fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => text,
    }
}

fn list(names: &[KeyName]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
