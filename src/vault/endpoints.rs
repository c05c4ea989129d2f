//! The calls about keys and about Vault, as Vault documents them.

use std::collections::BTreeMap;

use rustify_derive::Endpoint;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::domain::KeyName;

/// Signs a list of inputs: <https://developer.hashicorp.com/vault/api-docs/secret/transit#sign-data>.
#[derive(Clone, Endpoint)]
#[endpoint(path = "{self.mount}/sign/{self.target}", method = "POST", response = "SignAnswer")]
pub(super) struct SignBatch {
    #[endpoint(skip)]
    pub(super) mount: String,
    /// The key's name; for digests with their hash behind, because the path is what a Vault policy can pin.
    #[endpoint(skip)]
    pub(super) target: String,
    /// A [`SignParameters`] as JSON, made once however often the call is tried.
    #[endpoint(raw)]
    pub(super) body: Vec<u8>,
}

#[derive(Serialize)]
pub(super) struct SignParameters {
    pub(super) prehashed: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) digests: Option<DigestParameters>,
    pub(super) key_version: u32,
    pub(super) batch_input: Vec<SignItem>,
}

/// What is said where digests are signed, whatever the key's type is, so that one Vault policy fits all: each of the
/// two counts for ECDSA or for RSA alone, and Vault passes over it for the other.
#[derive(Serialize)]
pub(super) struct DigestParameters {
    pub(super) marshaling_algorithm: &'static str,
    /// Vault's default is PSS, which verifiers do not expect.
    pub(super) signature_algorithm: &'static str,
}

#[derive(Serialize)]
pub(super) struct SignItem {
    /// Standard base64.
    pub(super) input: String,
    /// Comes back with the answer.
    pub(super) reference: String,
}

#[derive(Deserialize)]
pub(super) struct SignAnswer {
    pub(super) batch_results: Vec<SignResult>,
}

#[derive(Deserialize)]
pub(super) struct SignResult {
    #[serde(default)]
    pub(super) signature: String,
    #[serde(default)]
    pub(super) error: String,
    #[serde(default)]
    pub(super) reference: String,
}

/// Reads what is public of a key: <https://developer.hashicorp.com/vault/api-docs/secret/transit#read-key>.
#[derive(Clone, Endpoint)]
#[endpoint(path = "{self.mount}/keys/{self.key}", response = "KeyAnswer")]
pub(super) struct ReadKey {
    #[endpoint(skip)]
    pub(super) mount: String,
    #[endpoint(skip)]
    pub(super) key: KeyName,
}

#[derive(Deserialize)]
pub(super) struct KeyAnswer {
    #[serde(rename = "type")]
    pub(super) key_type: String,
    pub(super) latest_version: u32,
    #[serde(default)]
    pub(super) min_decryption_version: u32,
    #[serde(default)]
    pub(super) min_encryption_version: u32,
    #[serde(default)]
    pub(super) min_available_version: u32,
    /// Seconds; 0 where Vault makes no versions by itself.
    #[serde(default)]
    pub(super) auto_rotate_period: u64,
    #[serde(default)]
    pub(super) derived: bool,
    #[serde(default)]
    pub(super) exportable: bool,
    #[serde(default)]
    pub(super) allow_plaintext_backup: bool,
    /// Objects like [`VersionAnswer`] for key pairs, numbers for symmetric keys.
    #[serde(default)]
    pub(super) keys: BTreeMap<u32, serde_json::Value>,
}

#[derive(Deserialize)]
pub(super) struct VersionAnswer {
    /// PEM for ECDSA and RSA, base64 of 32 bytes for Ed25519, empty where keys are derived from this one.
    pub(super) public_key: String,
    pub(super) creation_time: String,
}

/// Asks for Vault's state: <https://developer.hashicorp.com/vault/api-docs/system/health>.
/// The status is the answer; the body differs between Vault's and OpenBao's versions.
#[derive(Clone, Endpoint)]
#[endpoint(path = "sys/health", response = "IgnoredAny")]
pub(super) struct Health {}
