//! `[log.anchor]`: where the newest checkpoint is kept besides, so that a database that lost entries is found out.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorConfig {
    pub kind: AnchorKind,
    /// The path of a secret in Vault's engine, without slashes around it; or a file, on another disk than the log's.
    pub path: PathBuf,
    /// Where the KV engine, version 2, is mounted in Vault.
    #[serde(default)]
    pub mount: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnchorKind {
    /// With the login of `[vault]`.
    Vault,
    /// For one node.
    File,
}

impl AnchorConfig {
    /// Where the KV engine is: where Vault's guides put it, unless the configuration says otherwise.
    pub fn mount(&self) -> &str {
        self.mount.as_deref().unwrap_or("secret")
    }
}
