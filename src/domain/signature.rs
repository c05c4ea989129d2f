//! What makes two signatures the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Annotations, Digest, KeyReference, Signing, Subject};

/// How a signature is laid out in the registry.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A layer below the tag `sha256-….sig`: read by every cosign and by today's admission controllers.
    Cosign,
    /// A Sigstore bundle v0.3 that refers to the image: read by cosign 3.
    Bundle,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::Cosign, Self::Bundle];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cosign => "cosign",
            Self::Bundle => "bundle",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a signature says of its subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Claim {
    /// "This image is signed."
    #[default]
    Image,
    /// An in-toto statement about an image.
    Attestation {
        predicate_type: String,
        /// SHA-256 of the predicate's bytes as they were received.
        predicate: Digest,
    },
    /// "This file is signed."
    Blob {
        /// The file's name as its caller has it; not signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_type: Option<String>,
    },
}

impl Claim {
    pub fn is_image(&self) -> bool {
        *self == Self::Image
    }
}

/// The name under which the same signature is found again: a digest over subject, key version with
/// fingerprint, format, annotations and claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureIdentity(Digest);

impl SignatureIdentity {
    pub fn of(subject: &Subject, signing: &Signing) -> Self {
        let Signing { id: _, key, format, annotations, claim, payload: _ } = signing;
        Self::of_parts(subject, key, *format, annotations, claim)
    }

    pub fn of_parts(
        subject: &Subject,
        key: &KeyReference,
        format: Format,
        annotations: &Annotations,
        claim: &Claim,
    ) -> Self {
        let parts = (subject, key, format, annotations, claim);
        let mut json = Vec::with_capacity(512);
        serde_json::to_writer(&mut json, &parts).expect("invariant: strings and numbers always become JSON");
        Self(Digest::of(&json))
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}
