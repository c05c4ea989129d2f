//! `[attach]`: bringing signatures to their registries, and keeping them there.

use std::time::Duration;

use serde::Deserialize;

use super::duration;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttachConfig {
    /// How long after it was attached a signature is looked at again, each time counted from the time before. What somebody
    /// else has overwritten meanwhile is put back.
    #[serde(deserialize_with = "duration::deserialize_all")]
    pub look_again: Vec<Duration>,
    /// How long after it was made a signature is no longer tried to be attached.
    #[serde(deserialize_with = "duration::deserialize")]
    pub give_up_after: Duration,
}

impl Default for AttachConfig {
    fn default() -> Self {
        let look_again = [5, 60, 600].map(Duration::from_secs).to_vec();
        Self { look_again, give_up_after: Duration::from_secs(24 * 60 * 60) }
    }
}
