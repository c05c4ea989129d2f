//! What a key hashes with before it signs.

use std::fmt;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// A hash of FIPS 180-4, by the name that Vault has for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HashAlgorithm {
    #[default]
    #[serde(rename = "sha2-256")]
    Sha256,
    #[serde(rename = "sha2-384")]
    Sha384,
    #[serde(rename = "sha2-512")]
    Sha512,
}

impl HashAlgorithm {
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha2-256",
            Self::Sha384 => "sha2-384",
            Self::Sha512 => "sha2-512",
        }
    }

    /// Bytes of a hash.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(super) fn context(self) -> digest::Context {
        digest::Context::new(self.algorithm())
    }

    /// A hash that was made elsewhere; none where it has not the length of one.
    pub(super) fn import(self, bytes: &[u8]) -> Option<digest::Digest> {
        digest::Digest::import_less_safe(bytes, self.algorithm()).ok()
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
