//! What a session asks of Vault.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::endpoints::{self, LogIn};
use super::header;
use super::lease::Lease;
use crate::config::{Secret, SecretError, VaultAuthConfig};
use crate::domain::Digest;
use crate::vault::caller::{CallError, Caller, With};
use crate::vault::failure::sentence;

/// Where tokens come from. A test plays its own.
#[async_trait]
pub(super) trait Door: Send + 'static {
    /// A new token.
    ///
    /// # Errors
    /// [`CallError::Token`] where what was shown will be refused again; anything else may pass.
    async fn log_in(&mut self) -> Result<(HeaderValue, Lease), CallError>;

    async fn renew(&mut self, token: &HeaderValue) -> Result<Lease, CallError>;

    /// Whether `token` is alive.
    ///
    /// # Errors
    /// A 403 where it is not.
    async fn look(&mut self, token: &HeaderValue) -> Result<(), CallError>;

    /// Whether a login would show something else than the last one did.
    fn has_news(&self) -> bool;

    /// How long to keep from showing again what was refused `times` times in a row.
    fn after_refusal(&self, times: u32) -> Duration;
}

/// What one of Vault's auth methods wants to be shown.
#[async_trait]
pub(super) trait Method: Send + Sync {
    /// All that the body is made of.
    fn secrets(&self) -> Vec<&Secret>;

    /// The body of the login call.
    async fn body(&mut self, caller: &Caller) -> Result<Value, CallError>;

    /// Whether Vault locks out who is refused too often.
    fn locks_out(&self) -> bool {
        false
    }
}

/// The real one.
pub(super) struct VaultDoor {
    caller: Arc<Caller>,
    mount: String,
    method: Box<dyn Method>,
    /// Which secrets the last login showed; none where they could not be read.
    shown: Option<Digest>,
}

impl VaultDoor {
    pub(super) fn new(config: &VaultAuthConfig, caller: Arc<Caller>, method: Box<dyn Method>) -> Self {
        Self { caller, mount: config.mount().to_owned(), method, shown: None }
    }

    fn secrets(&self) -> Option<Digest> {
        let mut all = Vec::new();
        for secret in self.method.secrets() {
            all.extend(Digest::of(secret.current().ok()?.expose_secret().as_bytes()).as_bytes());
        }
        Some(Digest::of(&all))
    }

    /// Vault's refusal in words that show nothing of what was shown: it quotes a secret id, for one.
    fn refusal(&self, failure: CallError, body: &Value) -> CallError {
        let CallError::Status { status, errors, .. } = &failure else { return failure };
        if !failure.is_our_fault() {
            return failure;
        }
        let mut errors = errors.clone();
        for secret in body.as_object().into_iter().flat_map(|fields| fields.values()) {
            if let Some(secret) = secret.as_str().filter(|secret| !secret.is_empty()) {
                errors = errors.iter().map(|error| error.replace(secret, "…")).collect();
            }
        }
        let words = sentence(&errors).unwrap_or_default();
        CallError::Token(format!("the login at auth/{} was refused: {status}: {words}", self.mount))
    }
}

#[async_trait]
impl Door for VaultDoor {
    async fn log_in(&mut self) -> Result<(HeaderValue, Lease), CallError> {
        self.shown = self.secrets();
        let body = self.method.body(&self.caller).await?;
        let endpoint = LogIn { mount: self.mount.clone(), body: body.to_string().into_bytes() };
        let answer = self.caller.ask("log_in", endpoint, With::default()).await;
        let answer = answer.map_err(|failure| self.refusal(failure, &body))?;
        let auth =
            answer.auth.ok_or_else(|| CallError::Protocol("the login's answer has no `auth`".to_owned()))?;
        let lease = Lease::new(auth.lease_duration, auth.lease_duration, auth.renewable);
        Ok((header(&auth.client_token.into())?, lease))
    }

    async fn renew(&mut self, token: &HeaderValue) -> Result<Lease, CallError> {
        endpoints::renew(&self.caller, token).await
    }

    async fn look(&mut self, token: &HeaderValue) -> Result<(), CallError> {
        endpoints::look_up(&self.caller, "lookup_self", token).await.map(drop)
    }

    fn has_news(&self) -> bool {
        self.secrets() != self.shown
    }

    fn after_refusal(&self, times: u32) -> Duration {
        Duration::from_secs(match (self.method.locks_out(), times) {
            (false, 0..=1) => 1,
            (_, 0..=1) | (false, 2) => 5,
            (false, _) => 30,
            // Just more than Vault counts back, so that its count begins anew.
            (true, _) => 16 * 60,
        })
    }
}

pub(super) fn unreadable(error: SecretError) -> CallError {
    CallError::Token(error.to_string())
}
