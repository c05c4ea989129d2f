//! `[log]`: where the record of everything signed is kept, and what else has to be durable.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::{AnchorConfig, ArchiveConfig, PushConfig, duration};
use crate::domain::KeyName;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    #[serde(default)]
    pub backend: LogBackend,
    /// SQLite's database file; its directory must exist. A relative path starts at the configuration's directory.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// `postgres://user:password@host/database`.
    #[serde(default)]
    pub url: Option<SecretString>,
    /// A file with the URL, read again for each new connection.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// PEM bundle of the authorities that may have signed PostgreSQL's certificate; with it, no others may.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Whether `sslmode=disable` may be said of another machine.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Connections to PostgreSQL for reading; writing and locks have one each beside them.
    #[serde(default = "LogConfig::default_connections")]
    pub connections: usize,
    /// Until a new connection can be used.
    #[serde(default = "LogConfig::default_connect_timeout", deserialize_with = "duration::deserialize")]
    pub connect_timeout: Duration,
    /// For one statement, with waiting for other replicas.
    #[serde(default = "LogConfig::default_statement_timeout", deserialize_with = "duration::deserialize")]
    pub statement_timeout: Duration,
    #[serde(default)]
    pub verifications: Verifications,
    /// When entries leave the database; without it, never.
    #[serde(default)]
    pub archive: Option<ArchiveConfig>,
    /// Who is sent the log.
    #[serde(default)]
    pub push: Vec<PushConfig>,
    /// The log's name in checkpoints and proofs, as `signet.example.com/log`. It is kept with the log when that begins,
    /// and stays; where none is given, one is made then: from `http.public_url`, else by chance.
    #[serde(default)]
    pub origin: Option<String>,
    /// The key of Vault that signs checkpoints: of type ed25519, not exportable, and for nothing else.
    #[serde(default = "LogConfig::default_checkpoint_key")]
    pub checkpoint_key: KeyName,
    /// The transit engine's path of that key, where it is another than `[vault]` says.
    #[serde(default)]
    pub checkpoint_mount: Option<String>,
    /// How long after a rotation of that key the version before signs too.
    #[serde(default = "LogConfig::default_checkpoint_overlap", deserialize_with = "duration::deserialize")]
    pub checkpoint_overlap: Duration,
    /// Where the newest checkpoint is kept besides; nowhere, where it is not set.
    #[serde(default)]
    pub anchor: Option<AnchorConfig>,
}

/// Whether the log has an entry for each answer of `POST /v1/verifications`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verifications {
    /// None.
    Off,
    /// One, unless the log is busy or can not be written: nobody's answer waits for it.
    #[default]
    On,
    /// One, before the answer: without it, there is none.
    Required,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogBackend {
    /// One node.
    #[default]
    Sqlite,
    /// Any number of replicas.
    Postgres,
}

impl LogConfig {
    /// A log in SQLite.
    pub fn sqlite(path: PathBuf) -> Self {
        Self {
            backend: LogBackend::Sqlite,
            path: Some(path),
            url: None,
            url_file: None,
            ca_file: None,
            allow_plaintext: false,
            connections: Self::default_connections(),
            connect_timeout: Self::default_connect_timeout(),
            statement_timeout: Self::default_statement_timeout(),
            verifications: Verifications::On,
            archive: None,
            push: Vec::new(),
            origin: None,
            checkpoint_key: Self::default_checkpoint_key(),
            checkpoint_mount: None,
            checkpoint_overlap: Self::default_checkpoint_overlap(),
            anchor: None,
        }
    }

    fn default_checkpoint_key() -> KeyName {
        "signet-log".parse().expect("invariant: a literal name")
    }

    const fn default_checkpoint_overlap() -> Duration {
        Duration::from_hours(24)
    }

    const fn default_connections() -> usize {
        6
    }

    const fn default_connect_timeout() -> Duration {
        Duration::from_secs(5)
    }

    const fn default_statement_timeout() -> Duration {
        Duration::from_secs(10)
    }
}
