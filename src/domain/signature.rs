//! What makes two signatures the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Annotations, Digest, ImageReference, KeyReference};

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

/// The name under which the same signature is found again: a digest over image, key version with
/// fingerprint, format and annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureIdentity(Digest);

impl SignatureIdentity {
    pub fn of(image: &ImageReference, key: &KeyReference, format: Format, annotations: &Annotations) -> Self {
        let parts = (&image.repository, image.digest, key, format, annotations);
        let json = serde_json::to_vec(&parts).expect("invariant: strings and numbers always become JSON");
        Self(Digest::of(&json))
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}
