use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use crate::domain::Principal;

/// An OpenID provider at which people log in: the authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).
#[async_trait]
pub trait LoginProvider: Send + Sync {
    /// As people know it.
    fn name(&self) -> &str;

    /// Where to send the browser, which comes back to `redirect`.
    ///
    /// # Errors
    /// Where the provider does not tell how to log in at it.
    async fn begin(&self, redirect: &Url) -> Result<LoginBegun, LoginError>;

    /// Who has logged in, where the provider gives an ID token for `code` that verifies and was made for this log-in. `issuer` is
    /// who says to have answered (RFC 9207), where somebody says so.
    ///
    /// # Errors
    /// Every reason is the same to the person; the error's text is for our log alone.
    async fn finish(
        &self,
        redirect: &Url,
        code: SecretString,
        pending: LoginPending,
        issuer: Option<&str>,
    ) -> Result<Principal, LoginError>;
}

/// A log-in that has begun.
#[derive(Debug)]
pub struct LoginBegun {
    /// At the provider.
    pub url: Url,
    pub pending: LoginPending,
}

/// What ties the answer to the browser that has asked. It is for that browser alone.
#[derive(Debug, Clone)]
pub struct LoginPending {
    pub state: String,
    /// Stands in the ID token.
    pub nonce: String,
    /// Of PKCE: without it, the code is worth nothing.
    pub verifier: SecretString,
}

/// Nobody was logged in. The text is for our log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoginError {
    #[error("the provider can not be asked: {0}")]
    Unreachable(String),
    #[error("the provider refuses: {0}")]
    Refused(String),
    #[error("the ID token is not taken: {0}")]
    Token(String),
    #[error("the client secret can not be read: {0}")]
    Secret(String),
}
