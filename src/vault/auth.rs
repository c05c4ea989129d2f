//! The token that lets us in.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::client::CallError;
use super::signer::StartError;
use crate::config::{AuthMethod, Secret, VaultAuthConfig};

/// A token from the configuration, or from a file that somebody else (the Vault Agent) keeps fresh.
pub(super) struct TokenSource {
    secret: ArcSwap<Secret>,
    file: Option<PathBuf>,
}

impl TokenSource {
    /// # Errors
    /// Where no token is configured, or one that can not be sent.
    pub(super) fn new(config: &VaultAuthConfig) -> Result<Self, StartError> {
        let AuthMethod::Token = config.method;
        let file = config.token_file.clone();
        if let (None, Some(token)) = (&file, &config.token) {
            header(token).map_err(|_| StartError::Token)?;
        }
        let secret = Secret::either(config.token.clone(), file.clone()).ok_or(StartError::NoToken)?;
        Ok(Self { secret: ArcSwap::from_pointee(secret), file })
    }

    /// The token as it is now, marked as sensitive so that no log of the HTTP stack shows it.
    pub(super) fn current(&self) -> Result<HeaderValue, CallError> {
        let token = self.secret.load().current().map_err(|error| CallError::Token(error.to_string()))?;
        header(&token)
    }

    /// The token after one more look, where it is another than `refused`.
    ///
    /// A change within the resolution of the file system's clock is not seen by [`Self::current`];
    /// it is seen here, because nothing that was read before is asked.
    pub(super) fn instead_of(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        if let Some(file) = &self.file {
            self.secret.store(Arc::new(Secret::file(file)));
        }
        self.current().ok().filter(|token| token != refused)
    }
}

fn header(token: &SecretString) -> Result<HeaderValue, CallError> {
    let text = token.expose_secret().trim();
    let value = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty());
    let mut value =
        value.ok_or_else(|| CallError::Token("it is empty, or a header can not carry it".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
