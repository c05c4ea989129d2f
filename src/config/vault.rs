//! `[vault]`: where the keys are, and how to be let in.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::duration;

/// One Vault, or OpenBao.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    /// `https://vault.example.com:8200`. Redirects are not followed: they would carry the token away.
    pub address: Url,
    #[serde(default)]
    pub namespace: Option<String>,
    /// Path of the transit engine.
    #[serde(default = "VaultConfig::default_mount")]
    pub mount: String,
    /// PEM bundle of the authorities that may have signed Vault's certificate; with it, no others may.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// For one call, with its answer.
    #[serde(default = "VaultConfig::default_request_timeout", deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    /// How often each key is read again: a rotation is noticed at the latest after this time.
    #[serde(default = "VaultConfig::default_key_poll", deserialize_with = "duration::deserialize")]
    pub key_poll: Duration,
    pub auth: VaultAuthConfig,
    #[serde(default)]
    pub batch: BatchConfig,
}

/// `[vault.auth]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultAuthConfig {
    pub method: AuthMethod,
    #[serde(default)]
    pub token: Option<SecretString>,
    /// Read again when it changes, as the Vault Agent writes it.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMethod {
    Token,
}

/// `[vault.batch]`: how many signatures share one call. What waits goes with the next call; nobody waits on a timer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Signatures in one call. OpenBao takes at most about 245 in its default configuration, Vault 10,000.
    pub max_items: usize,
    /// Bytes of one call's body, roughly.
    pub max_bytes: usize,
    /// Calls under way at once for one key version.
    pub max_in_flight: usize,
}

impl VaultConfig {
    fn default_mount() -> String {
        "transit".to_owned()
    }

    const fn default_request_timeout() -> Duration {
        Duration::from_secs(10)
    }

    const fn default_key_poll() -> Duration {
        Duration::from_secs(5)
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { max_items: 240, max_bytes: 1024 * 1024, max_in_flight: 2 }
    }
}
