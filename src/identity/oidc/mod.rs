//! Tokens of issuers: what CI platforms, Kubernetes and SPIFFE give to a job so that it can say what it is
//! ([`OidcAuthenticator`]).
//!
//! A token goes through these files: `jws` reads it, `claims` holds it to what the configuration asks of its issuer, `jwks` has
//! the keys that verify it, `keeper` keeps those fresh with what `fetch` gets, and `cache` knows what was verified before.

mod cache;
mod claims;
mod fetch;
mod jwks;
mod jws;
mod keeper;
mod login;
mod offline;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::cache::{Entry, Verified};
use self::claims::Rules;
use self::jws::Jws;
use self::keeper::Keeper;
use self::refusal::quoted;
use crate::config::IdentityConfig;
use crate::domain::{Clock, Workload};
use crate::metrics::Metrics;

pub use login::OidcLogin;
pub use offline::OfflineIssuer;
pub use refusal::Refusal;

/// Recognises the holders of tokens that configured issuers have signed.
///
/// Nothing that a token says is believed, and nothing is fetched for it, before its `iss` is one of the configuration,
/// character by character; and what is fetched then is what the configuration names.
pub struct OidcAuthenticator {
    /// By what `iss` has to be.
    issuers: HashMap<String, Issuer>,
    verified: Verified,
    clock: Arc<dyn Clock>,
}

struct Issuer {
    rules: Rules,
    keeper: Arc<Keeper>,
}

/// A section `[[identity.issuers]]` can not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{issuer}`: {reason}")]
pub struct IssuerSetupError {
    /// The issuer's name.
    pub issuer: String,
    /// Names the setting and the file.
    pub reason: String,
}

impl OidcAuthenticator {
    /// Begins to fetch the issuers' keys, and waits for none of them. Ends with `stopped`.
    ///
    /// # Errors
    /// Where a file that the configuration names can not be used.
    pub fn start(
        identity: &IdentityConfig,
        clock: Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
        stopped: &CancellationToken,
    ) -> Result<Self, IssuerSetupError> {
        let mut issuers = HashMap::new();
        for config in &identity.issuers {
            let keeper = Keeper::start(config, metrics.clone(), stopped.clone())
                .map_err(|reason| IssuerSetupError { issuer: config.name.clone(), reason })?;
            issuers.insert(config.issuer.clone(), Issuer { rules: Rules::new(identity, config), keeper });
        }
        Ok(Self { issuers, verified: Verified::new(), clock })
    }

    /// Whether a bearer token looks as if an issuer had made it, and there are issuers.
    pub fn is_for(&self, bearer: &str) -> bool {
        !self.issuers.is_empty() && bearer.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Whom `token` speaks of.
    ///
    /// A token with a key that is not known yet has the issuer's keys fetched, at most once a minute, and waits for them for
    /// at most five seconds.
    ///
    /// # Errors
    /// [`Refusal`], for our log.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Workload>, Refusal> {
        if token.len() > Jws::MAX {
            return Err(Refusal::TooLong { limit: Jws::MAX });
        }
        let key = Verified::key(token);
        if let Some(known) = self.verified.get(&key) {
            if known.until <= self.clock.now() {
                self.verified.forget(&key);
                return Err(Refusal::Expired);
            }
            // Its key may have been withdrawn since.
            if known.keeper.keys().digest == known.keys {
                return Ok(known.workload);
            }
        }
        self.verify(token, key).await.inspect_err(|_| self.verified.forget(&key))
    }

    async fn verify(&self, token: &str, key: [u8; 32]) -> Result<Arc<Workload>, Refusal> {
        let jws = Jws::parse(token)?;
        let issuer = issuer_of(&jws)?;
        let issuer = self.issuers.get(issuer).ok_or_else(|| Refusal::UnknownIssuer(quoted(issuer)))?;
        let now = self.clock.now();
        let accepted = issuer.rules.check(&jws, now)?;
        let mut keys = issuer.keeper.keys();
        let mut verdict = keys.verify(&jws);
        if matches!(verdict, Err(Refusal::UnknownKey(_))) {
            issuer.keeper.look_again().await;
            keys = issuer.keeper.keys();
            verdict = keys.verify(&jws);
        }
        verdict?;
        let until = accepted.until;
        let workload = Arc::new(accepted.workload(jws.claims));
        let keeper = issuer.keeper.clone();
        let entry = Entry { workload: workload.clone(), until, keeper, keys: keys.digest };
        self.verified.keep(key, entry, now);
        Ok(workload)
    }
}

fn issuer_of<'a>(jws: &'a Jws<'_>) -> Result<&'a str, Refusal> {
    let problem = |problem: &str| Refusal::Claim { claim: "iss".to_owned(), problem: problem.to_owned() };
    let issuer = jws.claims.get("iss").ok_or_else(|| problem("is missing"))?;
    issuer.as_str().ok_or_else(|| problem("is no text"))
}
