//! Which configuration it is, without telling what is in it.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::str::FromStr;

use super::Config;
use crate::domain::Digest;

/// SHA-256 of each section, over all settings but the values of secrets. The same settings have the same digest as long as
/// Signet's version is the same: a new version may know more of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDigest(BTreeMap<String, Digest>);

impl ConfigDigest {
    pub fn of(config: &Config) -> Self {
        // Taken apart in full, so that a new section is in it.
        let Config { http, vault, keys, registries, identity, policy, log, limits, attach, audit, telemetry } =
            config;
        let sections: [(&str, &dyn Debug); 11] = [
            ("http", http),
            ("vault", vault),
            ("keys", keys),
            ("registries", registries),
            ("identity", identity),
            ("policy", policy),
            ("log", log),
            ("limits", limits),
            ("attach", attach),
            ("audit", audit),
            ("telemetry", telemetry),
        ];
        // Debug shows whether a secret is there, and nothing of it: see `secrecy`.
        let digest = |section: &dyn Debug| Digest::of(format!("{section:?}").as_bytes());
        Self(sections.into_iter().map(|(name, section)| (name.to_owned(), digest(section))).collect())
    }

    /// Of all sections together.
    pub fn whole(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }

    /// The names of the sections that are not as they were.
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        let changed = self.0.iter().filter(|(name, digest)| before.0.get(*name) != Some(*digest));
        let gone = before.0.keys().filter(|name| !self.0.contains_key(*name));
        changed.map(|(name, _)| name).chain(gone).cloned().collect()
    }
}

impl fmt::Display for ConfigDigest {
    /// One line for each section: its name, a blank, its digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, digest)| writeln!(f, "{name} {digest}"))
    }
}

impl FromStr for ConfigDigest {
    type Err = ();

    /// Reads what [`ConfigDigest`] displays.
    fn from_str(text: &str) -> Result<Self, ()> {
        let line = |line: &str| {
            let (name, digest) = line.split_once(' ')?;
            Some((name.to_owned(), digest.parse().ok()?))
        };
        text.lines().map(line).collect::<Option<_>>().map(Self).ok_or(())
    }
}
