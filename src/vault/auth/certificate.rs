//! A TLS client certificate.

use async_trait::async_trait;
use reqwest::Identity;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::door::{Method, unreadable};
use crate::config::Secret;
use crate::vault::caller::{CallError, Caller};

/// <https://developer.hashicorp.com/vault/docs/auth/cert>
///
/// Whoever ends TLS in front of Vault hides the certificate from it.
pub(super) struct Certificate {
    /// Vault tries all of its roles where none is named.
    role: Option<String>,
    certificate: Secret,
    key: Secret,
    /// What the connections show: certificate and key, as PEM. Renewals have to come with what the login came with, so
    /// it changes at a login alone.
    shown: Option<Vec<u8>>,
}

impl Certificate {
    pub(super) const fn new(role: Option<String>, certificate: Secret, key: Secret) -> Self {
        Self { role, certificate, key, shown: None }
    }
}

#[async_trait]
impl Method for Certificate {
    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.certificate, &self.key]
    }

    async fn body(&mut self, caller: &Caller) -> Result<Value, CallError> {
        let certificate = self.certificate.current().map_err(unreadable)?;
        let key = self.key.current().map_err(unreadable)?;
        let pem = [certificate.expose_secret(), "\n", key.expose_secret(), "\n"].concat().into_bytes();
        if self.shown.as_ref() != Some(&pem) {
            let identity = Identity::from_pem(&pem).and_then(|identity| caller.transport.identify(identity));
            // The error could quote what it read.
            identity.map_err(|_| {
                CallError::Token(
                    "`vault.auth.cert_file` and `vault.auth.key_file` are no certificate with its private key, in PEM"
                        .to_owned(),
                )
            })?;
            self.shown = Some(pem);
        }
        Ok(self.role.as_ref().map_or_else(|| json!({}), |role| json!({"name": role})))
    }
}
