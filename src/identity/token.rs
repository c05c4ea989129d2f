//! Bearer tokens that the configuration names by their SHA-256.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::TokenConfig;
use crate::domain::{Clock, Principal};
use crate::ports::{AuthenticationError, Authenticator, Credentials};

/// Recognises configured tokens. Looks at all of them in constant time, so that how long it takes tells nothing.
pub struct TokenAuthenticator {
    tokens: Vec<TokenConfig>,
    clock: Arc<dyn Clock>,
}

impl TokenAuthenticator {
    pub fn new(tokens: Vec<TokenConfig>, clock: Arc<dyn Clock>) -> Self {
        Self { tokens, clock }
    }
}

impl TokenAuthenticator {
    /// The token of this SHA-256.
    fn find(&self, shown: &[u8; 32]) -> Option<&TokenConfig> {
        self.tokens.iter().fold(None, |known, token| {
            if bool::from(token.sha256.0.ct_eq(shown)) { Some(token) } else { known }
        })
    }

    fn has_expired(&self, token: &TokenConfig) -> bool {
        token.expires.is_some_and(|expires| expires <= self.clock.now())
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthenticationError> {
        let bearer = credentials.bearer.as_ref().ok_or(AuthenticationError::Missing)?;
        let shown: [u8; 32] = Sha256::digest(bearer.expose_secret()).into();
        let token = self.find(&shown).ok_or(AuthenticationError::Unknown)?;
        if self.has_expired(token) {
            return Err(AuthenticationError::Expired { name: token.name.clone() });
        }
        Ok(Principal::Token { name: token.name.clone() })
    }

    fn still_authentic(&self, credential: &[u8; 32], principal: &Principal) -> bool {
        let Principal::Token { name } = principal else { return true };
        self.find(credential).is_some_and(|token| token.name == *name && !self.has_expired(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TokenDigest;
    use crate::domain::{Certificate, Timestamp};

    struct At(Timestamp);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    fn authenticator(now: &str) -> TokenAuthenticator {
        let token = TokenConfig {
            name: "ci".to_owned(),
            sha256: TokenDigest(Sha256::digest("secret").into()),
            expires: Some("2026-06-01T00:00:00Z".parse().unwrap()),
        };
        TokenAuthenticator::new(vec![token], Arc::new(At(now.parse().unwrap())))
    }

    async fn authenticate(bearer: Option<&str>, now: &str) -> Result<Principal, AuthenticationError> {
        let bearer = bearer.map(|token| token.to_owned().into());
        let credentials = Credentials { bearer, certificate: None };
        authenticator(now).authenticate(&credentials).await
    }

    #[tokio::test]
    async fn the_right_token_is_its_principal_until_it_expires() {
        let ci = Principal::Token { name: "ci".to_owned() };
        assert_eq!(authenticate(Some("secret"), "2026-05-31T23:59:59Z").await.unwrap(), ci);
        let late = authenticate(Some("secret"), "2026-06-01T00:00:00Z").await;
        assert!(matches!(late, Err(AuthenticationError::Expired { .. })));
    }

    #[test]
    fn what_a_token_has_proved_ends_with_it_its_name_or_its_time() {
        let [ci, other] = ["ci", "other"].map(|name| Principal::Token { name: name.to_owned() });
        let certificate = Certificate { name: "CN=job".to_owned(), claims: serde_json::Map::new() };
        let certificate = Principal::Certificate(Arc::new(certificate));
        let digest = |token: &str| Sha256::digest(token).into();
        for (token, principal, now, expected) in [
            ("secret", &ci, "2026-05-31T23:59:59Z", true),
            ("secret", &ci, "2026-06-01T00:00:00Z", false),
            ("secret", &other, "2026-05-31T23:59:59Z", false),
            ("removed", &ci, "2026-05-31T23:59:59Z", false),
            ("removed", &certificate, "2026-06-01T00:00:00Z", true),
        ] {
            let holds = authenticator(now).still_authentic(&digest(token), principal);
            assert_eq!(holds, expected, "{token} {principal} {now}");
        }
    }

    #[tokio::test]
    async fn no_token_and_a_wrong_one_are_nobody() {
        let now = "2026-01-01T00:00:00Z";
        assert!(matches!(authenticate(None, now).await, Err(AuthenticationError::Missing)));
        for wrong in ["", "Secret", "secret ", "secret\0"] {
            let answer = authenticate(Some(wrong), now).await;
            assert!(matches!(answer, Err(AuthenticationError::Unknown)), "{wrong:?}");
        }
    }
}
