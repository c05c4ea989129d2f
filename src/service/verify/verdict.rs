//! What is to be said of one signature.

use crate::ports::RegistryError;

/// Why a signature counts, or does not. The codes are part of the API.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It is all that was asked for.
    Verified,
    /// It would be, if the image had no bundle: once it has one, verifiers look at bundles alone.
    Overlooked,
    /// No version of the key made it: another key did, or somebody changed it.
    OtherKey,
    /// A bundle that names its key: verifiers skip it, unless it is by the name that they expect.
    KeyId,
    /// A bundle with no signature, or with several.
    SignatureCount,
    /// Another version of the key made it than the one that was asked for.
    OtherVersion,
    /// It is the key's, and signs another digest.
    DigestMismatch,
    /// It is the key's, and signs this digest in another repository.
    RepositoryMismatch,
    /// It is the key's, and does not say what was asked for.
    AnnotationsMissing,
    /// It says something else of the image than was asked for.
    PredicateType,
    /// It signs bytes, and says nothing of an image.
    NoStatement,
    /// The manifest calls it something else than a signature.
    MediaType,
    /// The registry has not what the manifest names.
    PayloadMissing,
    /// It is larger than a signature may be, and was not looked at.
    TooLarge,
    /// It can not be read as what it should be.
    Malformed,
    /// The registry could not tell.
    CouldNotTell(RegistryError),
}

impl Verdict {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Overlooked => "overlooked",
            Self::OtherKey => "other-key",
            Self::KeyId => "key-id",
            Self::SignatureCount => "signature-count",
            Self::OtherVersion => "other-version",
            Self::DigestMismatch => "digest-mismatch",
            Self::RepositoryMismatch => "repository-mismatch",
            Self::AnnotationsMissing => "annotations-missing",
            Self::PredicateType => "predicate-type",
            Self::NoStatement => "no-statement",
            Self::MediaType => "media-type",
            Self::PayloadMissing => "payload-missing",
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
            Self::CouldNotTell(_) => "could-not-tell",
        }
    }

    pub const fn is_verified(&self) -> bool {
        matches!(self, Self::Verified)
    }

    /// Why nobody can tell.
    pub(super) const fn unknown(&self) -> Option<&RegistryError> {
        match self {
            Self::CouldNotTell(error) => Some(error),
            _ => None,
        }
    }

    /// For a referrer: whether verifiers take it for a bundle, good or bad, and look at nothing else then. What
    /// can not be opened is none to them; what nobody could look at may be one.
    pub(super) const fn is_of_a_bundle(&self) -> bool {
        !matches!(self, Self::MediaType | Self::PayloadMissing | Self::Malformed)
    }

    /// For a layer beside bundles.
    pub(super) fn overlook(&mut self) {
        if self.is_verified() {
            *self = Self::Overlooked;
        }
    }
}

impl From<RegistryError> for Verdict {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::TooLarge { .. } => Self::TooLarge,
            error => Self::CouldNotTell(error),
        }
    }
}
