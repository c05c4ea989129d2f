//! Signing keys, as Vault names and versions them.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Content, Fingerprint, HashAlgorithm, PublicKey, SigningInput, Timestamp};

/// A key's name: 1 to 128 characters out of `A-Za-z0-9_.-`, beginning and ending with a letter, a digit or `_`.
/// Vault knows no other names, and names become parts of URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyName(String);

/// Why a text is no [`KeyName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key's name has 1 to 128 characters out of `A-Za-z0-9_.-`, and begins and ends with a letter, a digit or `_`"
)]
pub struct KeyNameError;

/// A key's version, counted from 1, as Vault counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyVersion(NonZeroU32);

/// What Vault calls the key's `type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyType {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    Ed25519,
    /// A type that Vault has and that nothing is signed with here, as Vault writes it.
    Unsupported(String),
}

/// A key with all its versions that are known: those that Vault publishes, and those that it once published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: KeyName,
    pub key_type: KeyType,
    /// What is hashed with before signing; Ed25519 takes no notice of it.
    pub hash: HashAlgorithm,
    pub latest: KeyVersion,
    /// Vault signs with versions from this one on.
    pub minimum: KeyVersion,
    /// Whether Vault has the key now. Where it has been deleted nothing is signed, and what was signed is still to
    /// be verified.
    pub in_vault: bool,
    /// How often Vault makes a new version by itself, where it does.
    pub auto_rotate_period: Option<Duration>,
    /// Those of a supported type; empty where the type is not. Also versions that Vault has archived or trimmed,
    /// whose signatures are still to be verified.
    pub versions: BTreeMap<KeyVersion, PublishedVersion>,
    /// Versions whose numbers are those of other key pairs now, because the key was deleted and made anew. Oldest first.
    pub former: Vec<(KeyVersion, PublishedVersion)>,
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedVersion {
    pub public_key: PublicKey,
    pub created_at: Timestamp,
}

/// The version of a key that made a signature, with the public key's fingerprint: names and
/// numbers can be reused in Vault, a fingerprint can not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyReference {
    pub name: KeyName,
    pub version: KeyVersion,
    pub fingerprint: Fingerprint,
}

impl KeyName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let bytes = text.as_bytes();
        let fits = (1..=128).contains(&bytes.len())
            && bytes.iter().all(|&b| word(b) || b"-.".contains(&b))
            && [bytes.first(), bytes.last()].into_iter().flatten().all(|&b| word(b));
        fits.then(|| Self(text.to_owned())).ok_or(KeyNameError)
    }
}

impl TryFrom<String> for KeyName {
    type Error = KeyNameError;

    fn try_from(text: String) -> Result<Self, KeyNameError> {
        text.parse()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyVersion {
    /// `None` for 0, which Vault takes for "the latest" and which is therefore no version.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KeyType {
    /// All types that are signed with.
    pub const SUPPORTED: [Self; 7] = [
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Ed25519,
    ];
}

impl From<&str> for KeyType {
    /// The type that Vault calls `name`.
    fn from(name: &str) -> Self {
        let known = Self::SUPPORTED.into_iter().find(|known| known.to_string() == name);
        known.unwrap_or_else(|| Self::Unsupported(name.to_owned()))
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::Ed25519 => "ed25519",
            Self::Unsupported(name) => name,
        })
    }
}

impl Key {
    /// What this key is given to sign `content`.
    pub fn input(&self, content: &Content) -> SigningInput {
        SigningInput::of(&self.key_type, self.hash, content)
    }

    /// Whether Vault signs with `version` now.
    pub fn can_sign_with(&self, version: KeyVersion) -> bool {
        self.in_vault
            && (self.minimum..=self.latest).contains(&version)
            && self.versions.contains_key(&version)
    }

    /// The version with this fingerprint, also a former one: what a signature's annotations name for ever.
    pub fn with_fingerprint(&self, fingerprint: Fingerprint) -> Option<(KeyVersion, &PublishedVersion)> {
        let former = self.former.iter().map(|(version, published)| (*version, published));
        let versions = self.versions.iter().map(|(version, published)| (*version, published));
        versions.chain(former).find(|(_, published)| published.public_key.fingerprint() == fingerprint)
    }

    /// `version` as a reference, where it is published.
    pub fn reference(&self, version: KeyVersion) -> Option<KeyReference> {
        self.versions.get(&version).map(|published| KeyReference {
            name: self.name.clone(),
            version,
            fingerprint: published.public_key.fingerprint(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_name_that_could_leave_its_place_in_a_url_is_refused() {
        for name in ["release", "a.b_c-D9", "_"] {
            assert!(name.parse::<KeyName>().is_ok(), "{name}");
        }
        for name in ["", ".", "..", ".a", "a-", "a/b", "a b", "a?b", "a%2fb", "é", &"a".repeat(129)] {
            assert_eq!(name.parse::<KeyName>(), Err(KeyNameError), "{name}");
        }
    }
}
