//! A token that somebody else signs: Kubernetes for a service account, or any issuer of JWTs.

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::door::{Method, unreadable};
use crate::config::Secret;
use crate::vault::caller::{CallError, Caller};

/// <https://developer.hashicorp.com/vault/docs/auth/jwt>, <https://developer.hashicorp.com/vault/docs/auth/kubernetes>
pub(super) struct Jwt {
    role: String,
    /// Read anew at each login, because these tokens are short-lived and their file is kept fresh.
    jwt: Secret,
}

impl Jwt {
    pub(super) const fn new(role: String, jwt: Secret) -> Self {
        Self { role, jwt }
    }
}

#[async_trait]
impl Method for Jwt {
    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.jwt]
    }

    async fn body(&mut self, _: &Caller) -> Result<Value, CallError> {
        let jwt = self.jwt.current().map_err(unreadable)?;
        Ok(json!({"role": self.role, "jwt": jwt.expose_secret()}))
    }
}
