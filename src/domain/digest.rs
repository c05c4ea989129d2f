//! Content digests as the OCI image specification writes them.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 content digest, written `sha256:` and 64 lower-case hexadecimal digits.
///
/// SHA-256 is the one algorithm that every verifier of both signature layouts reads; other
/// algorithms are refused at the edge.
/// <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Why a text is no [`Digest`]. The sentences are meant for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("a digest is written as the algorithm, a colon and hexadecimal digits: `sha256:<64 digits>`")]
    NoAlgorithm,
    #[error("the digest algorithm must be `sha256`: verifiers of signatures read no other")]
    Algorithm,
    #[error("a sha256 digest has 64 hexadecimal digits after the colon, this one has {0}")]
    Length(usize),
    #[error("a digest is written in lower-case hexadecimal digits (0-9, a-f)")]
    Digits,
}

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// The digest whose raw value is `bytes`.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Writes it into `text`. Each entry of the log has several, so that none is made on the heap first.
    fn write<'a>(&self, text: &'a mut [u8; PREFIX.len() + 64]) -> &'a str {
        let (prefix, digits) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        hex::encode_to_slice(self.0, digits).expect("invariant: 32 bytes have 64 digits");
        str::from_utf8(text).expect("invariant: digits are ASCII")
    }
}

const PREFIX: &str = "sha256:";

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, digits) = text.split_once(':').ok_or(DigestError::NoAlgorithm)?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm);
        }
        if digits.len() != 64 {
            return Err(DigestError::Length(digits.chars().count()));
        }
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(DigestError::Digits);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| DigestError::Digits)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; _]))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a digest")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; _]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_what_it_writes() {
        let digest = Digest::of(b"signet");
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn each_wrong_form_says_what_is_wrong() {
        let hex = "a".repeat(64);
        for (text, error) in [
            (hex.clone(), DigestError::NoAlgorithm),
            (format!("sha512:{hex}{hex}"), DigestError::Algorithm),
            (format!("SHA256:{hex}"), DigestError::Algorithm),
            ("sha256:abc".to_owned(), DigestError::Length(3)),
            (format!("sha256:{}", hex.to_uppercase()), DigestError::Digits),
            (format!("sha256:{}", "g".repeat(64)), DigestError::Digits),
            (format!("sha256:{}", "é".repeat(32)), DigestError::Digits),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
    }
}
