//! `[policy]`: who may sign what.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::duration;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// YAML; a relative path starts at the configuration's directory.
    pub file: PathBuf,
    /// How often the file is read again: a new one is in force at the latest after twice this time.
    #[serde(default = "PolicyConfig::default_poll", deserialize_with = "duration::deserialize")]
    pub poll: Duration,
}

impl PolicyConfig {
    pub const fn default_poll() -> Duration {
        Duration::from_secs(2)
    }
}
