//! Tokens without a network and without a clock: for the fuzzer, and for whoever has keys and a token at hand.

use super::claims::Rules;
use super::issuer_of;
use super::jwks::KeySet;
use super::jws::Jws;
use super::refusal::{Refusal, quoted};
use crate::config::{IdentityConfig, IssuerConfig};
use crate::domain::{Timestamp, Workload};

/// One issuer with keys that do not change.
pub struct OfflineIssuer {
    issuer: String,
    rules: Rules,
    keys: KeySet,
}

impl OfflineIssuer {
    /// # Errors
    /// Where `keys` is no key set (JSON) with a key that can be used.
    pub fn new(identity: &IdentityConfig, issuer: &IssuerConfig, keys: &[u8]) -> Result<Self, String> {
        let keys = KeySet::parse(keys, &issuer.algorithms).map_err(|error| error.to_string())?;
        Ok(Self { issuer: issuer.issuer.clone(), rules: Rules::new(identity, issuer), keys })
    }

    /// Whom `token` speaks of at `now`, by the same rules as in [`super::OidcAuthenticator`].
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Workload, Refusal> {
        let jws = Jws::parse(token)?;
        let issuer = issuer_of(&jws)?;
        if issuer != self.issuer {
            return Err(Refusal::UnknownIssuer(quoted(issuer)));
        }
        let accepted = self.rules.check(&jws, now)?;
        self.keys.verify(&jws)?;
        Ok(accepted.workload(jws.claims))
    }
}
