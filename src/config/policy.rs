//! `[policy]`: who may sign what.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// YAML; a relative path starts at the configuration's directory.
    pub file: PathBuf,
}
