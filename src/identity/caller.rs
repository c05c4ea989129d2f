//! All ways of being recognised, as one.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;

use super::{OidcAuthenticator, TokenAuthenticator};
use crate::domain::Principal;
use crate::metrics::Metrics;
use crate::ports::{AuthenticationError, Authenticator, Credentials};

/// Recognises callers by what they show. Where that is a token, the token alone says who calls: a wrong one is nobody,
/// whatever certificate the connection has.
pub struct CallerAuthenticator {
    pub tokens: TokenAuthenticator,
    pub workloads: OidcAuthenticator,
    /// For connections with a certificate; none where the configuration trusts no authority.
    pub certificates: Option<Arc<dyn Authenticator>>,
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl Authenticator for CallerAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthenticationError> {
        let (kind, result) = match (&credentials.bearer, &self.certificates) {
            (Some(bearer), _) => self.bearer(bearer.expose_secret(), credentials).await,
            (None, Some(certificates)) if credentials.certificate.is_some() => {
                ("certificate", certificates.authenticate(credentials).await)
            }
            (None, _) => ("nothing", Err(AuthenticationError::Missing)),
        };
        self.metrics.authentication(kind, if result.is_ok() { "accepted" } else { "refused" });
        result
    }
}

impl CallerAuthenticator {
    /// Whoever made a token of the configuration could have given it the form of an issuer's, so those come first.
    async fn bearer(
        &self,
        bearer: &str,
        credentials: &Credentials,
    ) -> (&'static str, Result<Principal, AuthenticationError>) {
        match self.tokens.authenticate(credentials).await {
            Err(AuthenticationError::Unknown) if self.workloads.is_for(bearer) => {
                let workload = self.workloads.authenticate(bearer).await;
                let refused = |refusal: super::Refusal| AuthenticationError::Refused(refusal.to_string());
                ("workload", workload.map(Principal::Workload).map_err(refused))
            }
            result => ("token", result),
        }
    }
}
