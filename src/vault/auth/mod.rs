//! How we are let in: the token, and who keeps it valid.
//!
//! | file | subject |
//! |---|---|
//! | `given` | a token that the configuration or a file gives |
//! | `session` | a token that we log in for, and keep as long as it can be |
//! | `door` | what a session asks of Vault, for each method |
//! | `approle`, `jwt`, `certificate` | what each method shows: Kubernetes is a `jwt` |
//! | `lease` | how long a token lives, and when to do something about it |
//! | `endpoints` | the calls, as Vault documents them |

mod approle;
mod certificate;
mod door;
mod endpoints;
mod given;
mod jwt;
mod lease;
mod session;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::approle::AppRole;
use self::certificate::Certificate;
use self::door::{Method, VaultDoor};
pub(super) use self::endpoints::LookUpSelf;
use self::given::GivenToken;
use self::jwt::Jwt;
pub(super) use self::lease::{Expiry, Lease};
use self::session::Session;
use super::caller::{CallError, Caller};
use super::signer::StartError;
use crate::config::{AuthMethod, Secret, VaultAuthConfig};

/// Where the token for a call comes from.
pub(super) enum Tokens {
    Given(GivenToken),
    Session(Session),
}

impl Tokens {
    /// Begins to log in, or to keep a given token alive, until `shutdown`. Waits for nobody.
    /// `random` gives numbers in `0.0..1.0`.
    ///
    /// # Errors
    /// Where the configuration lacks what its method needs.
    pub(super) fn start(
        config: &VaultAuthConfig,
        caller: &Arc<Caller>,
        expiry: Expiry,
        random: fn() -> f64,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let lacks = |keys| StartError::Auth { method: config.method.name(), keys };
        let role = || config.role.clone().ok_or_else(|| lacks("`role`"));
        let method: Box<dyn Method> = match config.method {
            AuthMethod::Token => {
                let given = GivenToken::start(config, Arc::clone(caller), expiry, random, shutdown)?;
                return Ok(Self::Given(given));
            }
            AuthMethod::AppRole => {
                let role_id = Secret::either(config.role_id.clone(), config.role_id_file.clone());
                let secret_id = Secret::either(config.secret_id.clone(), config.secret_id_file.clone());
                Box::new(AppRole::new(
                    role_id.ok_or_else(|| lacks("`role_id` or `role_id_file`"))?,
                    secret_id.ok_or_else(|| lacks("`secret_id` or `secret_id_file`"))?,
                    config.wrapped.unwrap_or(false),
                ))
            }
            AuthMethod::Kubernetes | AuthMethod::Jwt => {
                let file = config.jwt_file().ok_or_else(|| lacks("`jwt_file`"))?;
                Box::new(Jwt::new(role()?, Secret::file(file)))
            }
            AuthMethod::Cert => {
                let file = |file: &Option<_>| file.clone().map(Secret::file);
                Box::new(Certificate::new(
                    config.role.clone(),
                    file(&config.cert_file).ok_or_else(|| lacks("`cert_file`"))?,
                    file(&config.key_file).ok_or_else(|| lacks("`key_file`"))?,
                ))
            }
        };
        let door = VaultDoor::new(config, Arc::clone(caller), method);
        Ok(Self::Session(Session::start(door, expiry, random, shutdown)))
    }

    /// The token as it is now. Where a login is under way, the one that it brings, until `deadline`.
    ///
    /// # Errors
    /// Where there is none, with the reason.
    pub(super) async fn current(&self, deadline: Instant) -> Result<HeaderValue, CallError> {
        match self {
            Self::Given(given) => given.current(),
            Self::Session(session) => session.current(deadline).await,
        }
    }

    /// A better token than `refused`, which Vault did not let in; none where that one is as good as any, so that
    /// it is the call that was refused.
    ///
    /// # Errors
    /// Where `refused` is dead, and there is no other by `deadline`.
    pub(super) async fn instead_of(
        &self,
        refused: &HeaderValue,
        deadline: Instant,
    ) -> Result<Option<HeaderValue>, CallError> {
        match self {
            Self::Given(given) => Ok(given.instead_of(refused)),
            Self::Session(session) => session.instead_of(refused, deadline).await,
        }
    }

    /// Vault has said how long the token lives. A session knows that by itself.
    pub(super) fn note(&self, lease: Lease) {
        if let Self::Given(given) = self {
            given.note(lease);
        }
    }
}

/// A token as it is sent, marked as sensitive so that no log of the HTTP stack shows it.
fn header(token: &SecretString) -> Result<HeaderValue, CallError> {
    let text = token.expose_secret().trim();
    let value = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty());
    let mut value =
        value.ok_or_else(|| CallError::Token("it is empty, or a header can not carry it".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
