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
    pub workloads: Arc<OidcAuthenticator>,
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

    fn still_authentic(&self, credential: &[u8; 32], principal: &Principal) -> bool {
        self.tokens.still_authentic(credential, principal)
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

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::config::{IdentityConfig, TokenConfig, TokenDigest};
    use crate::domain::{Certificate, SystemClock};
    use crate::ports::ClientCertificate;

    /// Whoever has any certificate.
    struct Trusting;

    #[async_trait]
    impl Authenticator for Trusting {
        async fn authenticate(&self, _: &Credentials) -> Result<Principal, AuthenticationError> {
            let certificate = Certificate { name: "CN=job".to_owned(), claims: serde_json::Map::new() };
            Ok(Principal::Certificate(Arc::new(certificate)))
        }

        fn still_authentic(&self, _: &[u8; 32], _: &Principal) -> bool {
            true
        }
    }

    /// The token `static.to.ken` has the form of an issuer's.
    fn authenticator(with_certificates: bool) -> CallerAuthenticator {
        let issuer =
            "[[issuers]]\nname = 'i'\nissuer = 'https://ci.example.com'\njwks_file = '/nowhere/keys'";
        let identity: IdentityConfig = toml::from_str(issuer).unwrap();
        let sha256 = TokenDigest(Sha256::digest("static.to.ken").into());
        let tokens = vec![TokenConfig { name: "ci".to_owned(), sha256, expires: None }];
        let (clock, metrics) = (Arc::new(SystemClock), Arc::<Metrics>::default());
        let stopped = CancellationToken::new();
        CallerAuthenticator {
            tokens: TokenAuthenticator::new(tokens, clock.clone()),
            workloads: Arc::new(OidcAuthenticator::start(&identity, clock, &metrics, &stopped).unwrap()),
            certificates: with_certificates.then(|| Arc::new(Trusting) as Arc<dyn Authenticator>),
            metrics,
        }
    }

    #[tokio::test]
    async fn what_a_configured_token_has_proved_holds_as_long_as_it_is_configured() {
        let principal = |name: &str| Principal::Token { name: name.to_owned() };
        for with_certificates in [true, false] {
            let authenticator = authenticator(with_certificates);
            let holds = |token: &str, name| {
                authenticator.still_authentic(&Sha256::digest(token).into(), &principal(name))
            };
            assert!(holds("static.to.ken", "ci"));
            assert!(!holds("removed", "ci") && !holds("static.to.ken", "other"));
        }
    }

    #[tokio::test]
    async fn a_token_alone_says_who_calls_and_a_certificate_counts_where_there_is_none() {
        let certificate = || Some(Arc::new(ClientCertificate { der: Vec::new() }));
        for (bearer, has_certificate, trusts, expected) in [
            (None, false, true, "no credentials were shown"),
            (None, true, false, "no credentials were shown"),
            (None, true, true, "certificate:CN=job"),
            (Some("static.to.ken"), true, true, "token:ci"),
            (Some("static.to.ken"), false, false, "token:ci"),
            (Some("wrong"), true, true, "the token is unknown"),
            (Some(""), true, true, "the token is unknown"),
            (Some("wrong.to.ken"), true, true, "the token is refused: its header can not be read"),
        ] {
            let credentials = Credentials {
                bearer: bearer.map(|bearer| bearer.to_owned().into()),
                certificate: has_certificate.then(certificate).flatten(),
            };
            let found = match authenticator(trusts).authenticate(&credentials).await {
                Ok(principal) => principal.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(found.starts_with(expected), "{bearer:?} {has_certificate} {trusts}: {found}");
        }
    }
}
