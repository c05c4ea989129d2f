//! What the configuration has of what rules name.

use std::collections::{BTreeMap, BTreeSet};

use super::platform::Platform;
use crate::config::{Config, Purpose};
use crate::domain::Operation;

/// Names that rules use. A rule that names something else never matches, and is warned of.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    keys: BTreeMap<String, Vec<Purpose>>,
    tokens: BTreeSet<String>,
    /// Issuers, with their platforms as far as they are told; none where it is not known which there are.
    pub issuers: Option<BTreeMap<String, Option<Platform>>>,
}

impl Configured {
    pub fn of(config: &Config) -> Self {
        let purposes = [Purpose::Signature, Purpose::Attestation, Purpose::Blob];
        let keys = config.keys.iter().map(|key| {
            let is_for = purposes.iter().filter(|purpose| key.is_for(**purpose)).copied();
            (key.name.as_str().to_owned(), is_for.collect())
        });
        let tokens = config.identity.tokens.iter().map(|token| token.name.clone());
        Self { keys: keys.collect(), tokens: tokens.collect(), issuers: None }
    }

    pub fn has_key(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    pub fn has_token(&self, name: &str) -> bool {
        self.tokens.contains(name)
    }

    pub fn lacks_issuer(&self, name: &str) -> bool {
        self.issuers.as_ref().is_some_and(|issuers| !issuers.contains_key(name))
    }

    pub fn platform(&self, issuer: &str) -> Option<Platform> {
        *self.issuers.as_ref()?.get(issuer)?
    }

    /// Whether the key makes what `operation` asks for.
    pub fn key_is_for(&self, name: &str, operation: Operation) -> bool {
        let purpose = match operation {
            Operation::Sign => Purpose::Signature,
            Operation::Attest => Purpose::Attestation,
            Operation::Blob => Purpose::Blob,
            Operation::Verify | Operation::LogRead | Operation::PolicyExplain => return true,
        };
        self.keys.get(name).is_some_and(|purposes| purposes.contains(&purpose))
    }
}
