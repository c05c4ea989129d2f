//! AppRole: a role id, and a secret id, which may come wrapped.

use async_trait::async_trait;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::door::{Method, unreadable};
use super::endpoints::Unwrap;
use super::header;
use crate::config::Secret;
use crate::vault::caller::{CallError, Caller, With, data};

/// <https://developer.hashicorp.com/vault/docs/auth/approle>
pub(super) struct AppRole {
    role_id: Secret,
    /// The secret id, or the wrapping token around it.
    secret_id: Secret,
    wrapped: bool,
    unwrapped: Option<Unwrapped>,
}

/// A wrapping token opens once, so what was in it is kept, in memory alone.
struct Unwrapped {
    token: SecretString,
    secret_id: SecretString,
}

impl AppRole {
    pub(super) const fn new(role_id: Secret, secret_id: Secret, wrapped: bool) -> Self {
        Self { role_id, secret_id, wrapped, unwrapped: None }
    }

    async fn unwrap(&mut self, token: SecretString, caller: &Caller) -> Result<SecretString, CallError> {
        if let Some(known) = &self.unwrapped
            && known.token.expose_secret() == token.expose_secret()
        {
            return Ok(known.secret_id.clone());
        }
        let shown = header(&token)?;
        let with = With { token: Some(&shown), ..With::default() };
        let answer = caller.ask("unwrap", Unwrap {}, with).await.map_err(|failure| match failure {
            // Vault says both of a token that is used up or too old, and of one that never was.
            CallError::Status { status: StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN, .. } => CallError::Token(
                "the wrapping token in `vault.auth.secret_id_file` is not valid: it has expired, or somebody has used \
                 it. If that was not an earlier start of this service, find out who has the secret id. Write a new \
                 wrapping token into the file"
                    .to_owned(),
            ),
            failure => failure,
        })?;
        let secret_id = data(answer)?.secret_id;
        self.unwrapped = Some(Unwrapped { token, secret_id: secret_id.clone() });
        Ok(secret_id)
    }
}

#[async_trait]
impl Method for AppRole {
    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.role_id, &self.secret_id]
    }

    async fn body(&mut self, caller: &Caller) -> Result<Value, CallError> {
        let role_id = self.role_id.current().map_err(unreadable)?;
        let mut secret_id = self.secret_id.current().map_err(unreadable)?;
        if self.wrapped {
            secret_id = self.unwrap(secret_id, caller).await?;
        }
        Ok(json!({"role_id": role_id.expose_secret(), "secret_id": secret_id.expose_secret()}))
    }

    /// Five refusals of one role within 15 minutes lock it for as long, also for the right secret id:
    /// <https://developer.hashicorp.com/vault/docs/concepts/user-lockout>.
    fn locks_out(&self) -> bool {
        true
    }
}
