//! The public halves of the keys that sign notes:
//! <https://github.com/C2SP/C2SP/blob/main/signed-note.md#signatures> and <https://pkg.go.dev/golang.org/x/mod/sumdb/note>

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// A key that notes are verified with: an Ed25519 key with its name. Written `<name>+<key id>+<base64>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    public_key: [u8; 32],
}

/// Tells the keys of one name apart. No strong hash: keys can be made to share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 4]);

/// Why a text is no [`VerifierKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    #[error("a verifier key is written `<name>+<key id>+<base64>`")]
    Form,
    #[error("a key's name is not empty and holds no space, no control character and no `+`")]
    Name,
    #[error("the verifier key is none of Ed25519, which begins with `A` in its last part")]
    Algorithm,
    #[error(
        "the key id belongs to another name or another key: a character of the verifier key was changed or lost"
    )]
    Id,
}

/// What stands before a key's bytes: <https://github.com/C2SP/C2SP/blob/main/signed-note.md#signature-types>
const ED25519_TYPE: u8 = 1;

impl VerifierKey {
    /// # Errors
    /// [`VerifierKeyError::Name`]
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, VerifierKeyError> {
        if !Self::is_name(name) {
            return Err(VerifierKeyError::Name);
        }
        let id = KeyId::of(name, &public_key);
        Ok(Self { name: name.to_owned(), id, public_key })
    }

    /// Whether a key can have this name.
    pub fn is_name(name: &str) -> bool {
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Whether `signature` is this key's over `text`.
    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public_key).verify(text.as_bytes(), signature).is_ok()
    }
}

impl KeyId {
    /// Of an Ed25519 key.
    fn of(name: &str, public_key: &[u8; 32]) -> Self {
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519_TYPE])
            .chain_update(public_key)
            .finalize();
        Self([hash[0], hash[1], hash[2], hash[3]])
    }

    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for KeyId {
    /// Eight hexadecimal digits, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[ED25519_TYPE][..], &self.public_key].concat();
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Form);
        };
        let bytes = STANDARD.decode(key).map_err(|_| VerifierKeyError::Form)?;
        let public_key = match bytes.split_first() {
            Some((&ED25519_TYPE, key)) => key.try_into().map_err(|_| VerifierKeyError::Algorithm)?,
            _ => return Err(VerifierKeyError::Algorithm),
        };
        let key = Self::new(name, public_key)?;
        if key.id.to_string() == id { Ok(key) } else { Err(VerifierKeyError::Id) }
    }
}
