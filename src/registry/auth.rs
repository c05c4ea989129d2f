//! How a registry is told who is calling.

use std::sync::{Mutex, PoisonError};

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Method, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use super::answer::Answer;
use super::credentials::{Credentials, Login};
use super::realm::{Challenge, Realms};
use super::tokens::{Pause, Token, Tokens};
use super::transport::{Call, Transport};
use crate::ports::RegistryError;

/// The way into one registry. The first challenge says which way it is; from then on every call
/// goes out with what the registry wants to see, and no round trip is lost to a `401`.
#[derive(Debug)]
pub(super) struct Auth {
    credentials: Credentials,
    realms: Realms,
    scheme: Mutex<Option<Scheme>>,
    tokens: Tokens,
    pause: Pause,
}

/// What goes out with a call.
pub(super) struct Authorization {
    pub(super) header: HeaderValue,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Basic,
    /// A token that was fetched for this call.
    NewToken,
    /// A token from before. It may have been withdrawn since.
    OldToken,
}

impl Auth {
    pub(super) fn new(credentials: Credentials, realms: Realms) -> Self {
        let (scheme, tokens, pause) = Default::default();
        Self { credentials, realms, scheme, tokens, pause }
    }

    /// What to send with a call about `repository`, as far as is known without asking: nothing
    /// before the first challenge.
    ///
    /// # Errors
    /// Where a token is needed and can not be had.
    pub(super) async fn authorization(
        &self,
        transport: &Transport,
        repository: &str,
    ) -> Result<Option<Authorization>, RegistryError> {
        let scheme = self.scheme.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match scheme {
            None => Ok(None),
            Some(Scheme::Basic) => Ok(self.login(transport)?.as_ref().map(Authorization::basic)),
            Some(Scheme::Bearer { realm, service }) => {
                self.token(transport, &realm, service.as_deref(), repository, None).await.map(Some)
            }
        }
    }

    /// What to send instead, after `answer` (a `401`) refused a call that went out with `refused`;
    /// `None` where that was the best that there is.
    ///
    /// # Errors
    /// [`RegistryError::Denied`] where what the registry wants is not configured.
    pub(super) async fn after_refusal(
        &self,
        transport: &Transport,
        repository: &str,
        refused: Option<&Authorization>,
        answer: &Answer,
    ) -> Result<Option<Authorization>, RegistryError> {
        let host = &transport.host;
        let headers = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let used = refused.map(|refused| refused.kind);
        let (scheme, withdrawn) = match Challenge::parse(headers) {
            None if used.is_none() => {
                return Err(host.protocol("its 401 has no challenge that is understood"));
            }
            None => return Ok(None),
            Some(Challenge::Basic) if used == Some(Kind::Basic) => return Ok(None),
            Some(Challenge::Bearer { .. }) if used == Some(Kind::NewToken) => return Ok(None),
            Some(Challenge::Basic) => (Scheme::Basic, None),
            Some(Challenge::Bearer { realm, service }) => {
                let realm = self.realms.admit(&realm).map_err(|reason| host.denied(reason))?;
                (Scheme::Bearer { realm, service }, refused.map(|refused| &refused.header))
            }
        };
        *self.scheme.lock().unwrap_or_else(PoisonError::into_inner) = Some(scheme.clone());
        match scheme {
            Scheme::Basic => match self.login(transport)? {
                Some(login) => Ok(Some(Authorization::basic(&login))),
                None => Err(host.denied("it wants a user name and a password, and none are configured")),
            },
            Scheme::Bearer { realm, service } => {
                self.token(transport, &realm, service.as_deref(), repository, withdrawn).await.map(Some)
            }
        }
    }

    /// A token for everything that is done with `repository`, other than `withdrawn`.
    async fn token(
        &self,
        transport: &Transport,
        realm: &Url,
        service: Option<&str>,
        repository: &str,
        withdrawn: Option<&HeaderValue>,
    ) -> Result<Authorization, RegistryError> {
        let scope = format!("repository:{repository}:pull,push");
        let slot = self.tokens.slot(&scope);
        // Whoever fetches may be waiting for a token service that does not answer.
        let mut token = timeout(transport.timeout, slot.lock())
            .await
            .map_err(|_| transport.host.timeout(transport.timeout))?;
        if let Some(token) = token.as_ref().filter(|token| token.is_fresh())
            && withdrawn != Some(&token.header)
        {
            return Ok(Authorization { header: token.header.clone(), kind: Kind::OldToken });
        }
        *token = None;
        if let Some(left) = self.pause.left() {
            return Err(transport.host.too_many_requests(Some(left)));
        }
        let fetched = self.fetch(transport, realm, service, &scope).await;
        let fetched = fetched.map_err(|error| self.pause.begin(error))?;
        let header = fetched.header.clone();
        *token = Some(fetched);
        Ok(Authorization { header, kind: Kind::NewToken })
    }

    /// <https://distribution.github.io/distribution/spec/auth/token/#requesting-a-token>
    async fn fetch(
        &self,
        transport: &Transport,
        realm: &Url,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Token, RegistryError> {
        let host = &transport.host;
        let mut url = realm.clone();
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut().append_pair("scope", scope);
        let login = self.login(transport)?.as_ref().map(Login::header);
        let asked = Instant::now();
        let answer = transport.transmit(&Call::new("token", Method::GET, url), login.as_ref()).await?;
        match answer.status {
            StatusCode::OK => Token::parse(&answer.body, asked).map_err(|reason| host.protocol(reason)),
            // What these say in their bodies is about the credentials, and is not shown.
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let who = if login.is_some() { "the configured user" } else { "anonymous callers" };
                Err(host.denied(format!("its token service refuses {who} with status {}", status.as_u16())))
            }
            status => Err(answer.refusal(host).unwrap_or_else(|| {
                host.protocol(format!("its token service answered status {}", status.as_u16()))
            })),
        }
    }

    fn login(&self, transport: &Transport) -> Result<Option<Login>, RegistryError> {
        self.credentials.current().map_err(|reason| transport.host.denied(reason))
    }
}

impl Authorization {
    fn basic(login: &Login) -> Self {
        Self { header: login.header(), kind: Kind::Basic }
    }
}
