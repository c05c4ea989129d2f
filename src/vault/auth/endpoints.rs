//! The calls about tokens, as Vault documents them.

use http::HeaderValue;
use rustify_derive::Endpoint;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::lease::Lease;
use crate::vault::caller::{CallError, Caller, With, data};

/// Logs in with any of the methods: <https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle>,
/// and the pages beside it.
#[derive(Endpoint)]
#[endpoint(path = "auth/{self.mount}/login", method = "POST", response = "IgnoredAny")]
pub(super) struct LogIn {
    #[endpoint(skip)]
    pub(super) mount: String,
    /// An object as JSON.
    #[endpoint(raw)]
    pub(super) body: Vec<u8>,
}

/// Asks what the token is: <https://developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token-self>.
#[derive(Clone, Endpoint)]
#[endpoint(path = "auth/token/lookup-self", response = "TokenAnswer")]
pub(in crate::vault) struct LookUpSelf {}

/// The answer repeats the token, of which nothing is kept.
#[derive(Deserialize)]
pub(in crate::vault) struct TokenAnswer {
    /// Seconds that are left.
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    creation_ttl: u64,
    #[serde(default)]
    renewable: bool,
}

impl TokenAnswer {
    pub(in crate::vault) fn lease(&self) -> Lease {
        Lease::new(self.ttl, self.creation_ttl, self.renewable)
    }
}

/// Asks for more time: <https://developer.hashicorp.com/vault/api-docs/auth/token#renew-a-token-self>.
#[derive(Endpoint)]
#[endpoint(path = "auth/token/renew-self", method = "POST", response = "IgnoredAny")]
struct RenewSelf {}

/// Takes out what was wrapped: <https://developer.hashicorp.com/vault/api-docs/system/wrapping-unwrap>. The
/// wrapping token goes where others go.
#[derive(Endpoint)]
#[endpoint(path = "sys/wrapping/unwrap", method = "POST", response = "SecretIdAnswer")]
pub(super) struct Unwrap {}

/// What `auth/approle/role/…/secret-id` gives.
#[derive(Deserialize)]
pub(super) struct SecretIdAnswer {
    pub(super) secret_id: SecretString,
}

pub(super) async fn look_up(
    caller: &Caller,
    operation: &'static str,
    token: &HeaderValue,
) -> Result<Lease, CallError> {
    let with = With { token: Some(token), ..With::default() };
    let answer = caller.ask(operation, LookUpSelf {}, with).await?;
    Ok(data(answer)?.lease())
}

/// What is left after a renewal, which may be less than asked for: a token has a longest life.
pub(super) async fn renew(caller: &Caller, token: &HeaderValue) -> Result<Lease, CallError> {
    let with = With { token: Some(token), ..With::default() };
    let answer = caller.ask("renew_self", RenewSelf {}, with).await?;
    let auth =
        answer.auth.ok_or_else(|| CallError::Protocol("the renewal's answer has no `auth`".to_owned()))?;
    Ok(Lease::new(auth.lease_duration, auth.lease_duration, auth.renewable))
}
