use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::Principal;

/// What a caller showed.
#[derive(Debug, Default)]
pub struct Credentials {
    /// The value of `Authorization: Bearer …`.
    pub bearer: Option<SecretString>,
}

/// Who is calling?
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The principal that `credentials` prove.
    ///
    /// # Errors
    /// Every reason to say no is the same to the caller; the error's text is for our log alone.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthenticationError>;
}

/// Why nobody was recognised. For our log, never for the caller.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    #[error("no credentials were shown")]
    Missing,
    #[error("the token is unknown")]
    Unknown,
    #[error("the token `{name}` has expired")]
    Expired { name: String },
}
