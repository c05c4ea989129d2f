//! Who is calling.

mod certificate;
mod token;

use async_trait::async_trait;

use crate::domain::Principal;
use crate::ports::{AuthenticationError, Authenticator, Credentials};

pub use certificate::CertificateAuthenticator;
pub use token::TokenAuthenticator;

/// The token where one is shown, and else the connection's certificate.
pub struct Authenticators {
    pub tokens: TokenAuthenticator,
    pub certificates: CertificateAuthenticator,
}

#[async_trait]
impl Authenticator for Authenticators {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthenticationError> {
        match (&credentials.bearer, &credentials.certificate) {
            (None, Some(_)) => self.certificates.authenticate(credentials).await,
            _ => self.tokens.authenticate(credentials).await,
        }
    }
}
