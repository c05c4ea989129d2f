//! What goes to the key.

use bytes::Bytes;

use super::{Content, HashAlgorithm, KeyType};

/// The input of one signing operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningInput {
    /// The hash of what is signed: ECDSA and RSA.
    Digest { algorithm: HashAlgorithm, bytes: Vec<u8> },
    /// All of what is signed: pure Ed25519 (RFC 8032) hashes by itself.
    Message(Bytes),
}

impl SigningInput {
    /// Bytes of a [`SigningInput::Message`]: Vault takes no JSON string over 1 MiB, and this is base64 there.
    pub const MAX_MESSAGE: usize = 768 * 1024;

    /// What a key of `key_type` that hashes with `hash` is given to sign `content`.
    pub fn of(key_type: &KeyType, hash: HashAlgorithm, content: &Content) -> Self {
        match key_type {
            KeyType::Ed25519 => Self::Message(content.to_bytes()),
            _ => Self::Digest { algorithm: hash, bytes: content.hash(hash) },
        }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Digest { bytes, .. } => bytes.len(),
            Self::Message(message) => message.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
