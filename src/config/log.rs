//! `[log]`: where the record of everything signed is kept, and what else has to be durable.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::{PushConfig, duration};

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
    /// Who is sent the log.
    #[serde(default)]
    pub push: Vec<PushConfig>,
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
    pub const fn sqlite(path: PathBuf) -> Self {
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
            push: Vec::new(),
        }
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
