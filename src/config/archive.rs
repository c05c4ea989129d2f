//! `[log.archive]`: when entries leave the database, and for where.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Entries that are old enough are moved into files that can be verified as the log can.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveConfig {
    /// How old an entry is when it is archived.
    #[serde(deserialize_with = "period")]
    pub after: Duration,
    /// Where the files go; it must exist. With replicas, the same for all of them.
    pub directory: PathBuf,
}

/// Reads a period in days, `730d`, or a shorter one, `12h`.
fn period<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let days = days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
    let shorter =
        || text.parse::<jiff::SignedDuration>().ok().and_then(|period| Duration::try_from(period).ok());
    days.or_else(shorter)
        .filter(|period| {
            *period >= Duration::from_secs(1) && *period <= Duration::from_secs(100 * 366 * 86_400)
        })
        .ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no period between 1s and 100 years; write it as `730d` or `12h`"
            ))
        })
}
