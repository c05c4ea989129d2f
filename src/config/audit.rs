//! `[audit]`: the auditor's pages.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::validate::{Wrong, ensure, path, wrong};
use super::{HttpConfig, IdentityConfig, Secret, duration};

/// Pages for people who read the log, at `/audit`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Without them, there is nothing at `/audit`.
    pub enabled: bool,
    /// How long a session may lie unused until it is over.
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_timeout: Duration,
    /// How long after it began a session is over, however much it is used. That of a pasted token is over no later than the
    /// token.
    #[serde(deserialize_with = "duration::deserialize")]
    pub session_lifetime: Duration,
    /// Logging in at an OpenID provider; without it, people paste a token.
    pub login: Option<LoginConfig>,
}

/// `[audit.login]`: Signet as a client of an OpenID provider (OpenID Connect Core 1.0, authorization code with PKCE).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// The name of one of `[[identity.issuers]]`: its keys, algorithms and limits hold for ID tokens, too, and policy knows the
    /// people by it.
    pub issuer: String,
    /// As the provider knows Signet. ID tokens are made for it, so it stands in the issuer's audience.
    pub client_id: String,
    #[serde(default)]
    pub client_secret: Option<SecretString>,
    /// Read again when it changes.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for: `openid`, and those scopes that bring the claims that policy looks at.
    #[serde(default = "LoginConfig::default_scopes")]
    pub scopes: Vec<String>,
}

impl AuditConfig {
    /// A session that is noted as used this seldom must not be over meanwhile.
    const SHORTEST: Duration = Duration::from_secs(60);

    /// # Errors
    /// The first thing that makes no sense.
    pub(super) fn check(&self, http: &HttpConfig, identity: &IdentityConfig) -> Result<(), Wrong> {
        for (key, time) in
            [("audit.idle_timeout", self.idle_timeout), ("audit.session_lifetime", self.session_lifetime)]
        {
            ensure(time >= Self::SHORTEST, key, || "it is at least 1m".to_owned())?;
        }
        ensure(self.idle_timeout <= self.session_lifetime, "audit.idle_timeout", || {
            "it is more than audit.session_lifetime, so that nobody is ever idle for so long".to_owned()
        })?;
        self.login.as_ref().map_or(Ok(()), |login| login.check(http.public_url.as_ref(), identity))
    }
}

impl LoginConfig {
    /// The secret that Signet shares with the provider; none for a public client.
    pub fn secret(&self) -> Option<Secret> {
        Secret::either(self.client_secret.clone(), self.client_secret_file.clone())
    }

    fn check(&self, public_url: Option<&Url>, identity: &IdentityConfig) -> Result<(), Wrong> {
        let Some(issuer) = identity.issuers.iter().find(|issuer| issuer.name == self.issuer) else {
            return wrong(
                "audit.login.issuer",
                "there is no such section [[identity.issuers]]: write its `name`",
            );
        };
        ensure(issuer.jwks_file.is_none(), "audit.login.issuer", || {
            "its keys are in a file; people log in at a provider that can be reached: leave `jwks_file` out there".to_owned()
        })?;
        ensure(!self.client_id.is_empty(), "audit.login.client_id", || {
            "write the name by which the provider knows Signet".to_owned()
        })?;
        ensure(identity.audience_of(issuer).contains(&self.client_id), "audit.login.client_id", || {
            "the provider's ID tokens are made for it: add it to the `audience` of that issuer".to_owned()
        })?;
        ensure(
            self.client_secret.is_none() || self.client_secret_file.is_none(),
            "audit.login.client_secret",
            || "client_secret_file is set too: keep one of the two".to_owned(),
        )?;
        path("audit.login.client_secret_file", self.client_secret_file.as_deref())?;
        ensure(self.scopes.iter().any(|scope| scope == "openid"), "audit.login.scopes", || {
            "without `openid` the provider gives no ID token: add it".to_owned()
        })?;
        ensure(public_url.is_some(), "http.public_url", || {
            "the provider sends people back there after [audit.login]: write the address at which they reach Signet"
                .to_owned()
        })
    }

    fn default_scopes() -> Vec<String> {
        vec!["openid".to_owned()]
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            idle_timeout: Duration::from_secs(30 * 60),
            session_lifetime: Duration::from_secs(8 * 60 * 60),
            login: None,
        }
    }
}
