//! Durations as people write them: `500ms`, `30s`, `5m`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

/// Reads a positive duration of at most a day.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| !duration.is_zero() && *duration <= Duration::from_secs(86_400))
        .ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no duration between 1ms and 1 day; write it as `500ms`, `30s` or `5m`"
            ))
        })
}
