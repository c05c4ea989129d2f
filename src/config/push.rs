//! `[[log.push]]`: who is sent the log, entry by entry.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::duration;

/// One receiver: at least once, in order, and never in the way of a signature.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushConfig {
    /// How far it has come is kept under this name: another name begins anew.
    pub name: String,
    pub kind: PushKind,
    #[serde(default)]
    pub format: PushFormat,
    /// Of `https`: where batches of lines are posted to.
    #[serde(default)]
    pub url: Option<Url>,
    /// Of `syslog`: `host:port`.
    #[serde(default)]
    pub address: Option<String>,
    /// Of `syslog`: whether it is spoken to over TLS.
    #[serde(default = "PushConfig::default_tls")]
    pub tls: bool,
    /// Of `https`: a bearer token.
    #[serde(default)]
    pub token: Option<SecretString>,
    /// Read again when it changes.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// PEM bundle of the authorities that may have signed the receiver's certificate; with it, no others may.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Entries that are sent at once.
    #[serde(default = "PushConfig::default_batch")]
    pub batch: usize,
    /// Until a batch is acknowledged.
    #[serde(default = "PushConfig::default_timeout", deserialize_with = "duration::deserialize")]
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushKind {
    /// RFC 5424 over TCP (RFC 6587, octet counting) or TLS (RFC 5425).
    Syslog,
    Https,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushFormat {
    /// The index and the exact bytes of the entry.
    #[default]
    Json,
    Ocsf,
    Cef,
}

impl PushConfig {
    const fn default_tls() -> bool {
        true
    }

    const fn default_batch() -> usize {
        500
    }

    const fn default_timeout() -> Duration {
        Duration::from_secs(15)
    }
}
