//! `[log]`: where the record of everything signed is kept.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    #[serde(default)]
    pub backend: LogBackend,
    /// The database file; its directory must exist. A relative path starts at the configuration's directory.
    pub path: PathBuf,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogBackend {
    /// One node.
    #[default]
    Sqlite,
}
