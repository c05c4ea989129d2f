//! `[[keys]]`: which keys of Vault may be used, and for what.

use serde::Deserialize;

use crate::domain::{HashAlgorithm, KeyName};

/// One key. Keys that no such section names can not be used by any request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The name in the API and in policies.
    pub name: KeyName,
    /// The name in Vault, where it is another.
    #[serde(default)]
    pub vault_key: Option<KeyName>,
    /// The transit engine's path, where it is another than `[vault]` says.
    #[serde(default)]
    pub mount: Option<String>,
    /// What is hashed with before signing, where it is not SHA-256: verifiers then need a flag. A key of type
    /// ed25519 hashes by itself, and takes no notice of it.
    #[serde(default)]
    pub hash: Option<HashAlgorithm>,
    #[serde(default = "KeyConfig::all_purposes")]
    pub purposes: Vec<Purpose>,
}

/// What a key may sign. `cosign verify` takes any bundle of the same key for an image signature,
/// so a key for attestations should not sign images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Of images.
    Signature,
    Attestation,
    Blob,
}

impl KeyConfig {
    pub fn is_for(&self, purpose: Purpose) -> bool {
        self.purposes.contains(&purpose)
    }

    fn all_purposes() -> Vec<Purpose> {
        vec![Purpose::Signature, Purpose::Attestation, Purpose::Blob]
    }
}
