use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::Principal;

/// What a caller showed. Where it is a token, the token alone says who calls: a wrong one is nobody, whatever
/// certificate the connection has.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The value of `Authorization: Bearer …`.
    pub bearer: Option<SecretString>,
    /// The certificate of the connection, which leads to an authority that the configuration trusts.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// A client's certificate (RFC 5280), verified when the connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// In DER.
    pub der: Vec<u8>,
}

/// Who is calling?
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The principal that `credentials` prove.
    ///
    /// # Errors
    /// Every reason to say no is the same to the caller; the error's text is for our log alone.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthenticationError>;

    /// Whether `credential`, the SHA-256 of the bearer token that has proved `principal` before, has not been taken back
    /// since: a token of the configuration has to be there still, under that name, and not to have expired. Of others nothing is known
    /// here, and they hold as long as they say themselves (see [`Principal::expires`]).
    fn still_authentic(&self, credential: &[u8; 32], principal: &Principal) -> bool;
}

/// Why nobody was recognised. For our log, never for the caller.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    #[error("no credentials were shown")]
    Missing,
    #[error("there are several `Authorization` headers, or one that holds no bearer token")]
    Unreadable,
    #[error("the token is unknown")]
    Unknown,
    #[error("the client certificate is not taken: {0}")]
    Certificate(&'static str),
    #[error("the token `{name}` has expired")]
    Expired { name: String },
    /// A token of an issuer, or one that says so.
    #[error("the token is refused: {0}")]
    Refused(String),
}
