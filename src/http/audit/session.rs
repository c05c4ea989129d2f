//! Who looks at the pages: a cookie that names a session, and what of the session has to hold.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::AuditParts;
use super::page::Who;
use super::parts::{link, plain};
use crate::domain::{Principal, Timestamp};
use crate::http::ApiState;
use crate::http::authenticated::request_id;
use crate::http::problem::Problem;
use crate::ports::{LogError, Session, SessionId};
use crate::service::{Caller, Service, ServiceError};

/// Somebody who has logged in, and whose session holds.
#[derive(Debug, Clone)]
pub struct Viewer {
    pub caller: Caller,
    pub session: SessionId,
    csrf: Arc<str>,
}

/// What a session keeps.
#[derive(Serialize, Deserialize)]
struct Content {
    principal: Principal,
    /// SHA-256 of the token that it was opened with, in hexadecimal digits; none for a provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

/// How somebody has proven who they are.
pub struct Proven {
    pub principal: Principal,
    /// The token; none where a provider has vouched.
    pub token: Option<SecretString>,
}

/// Why a page is not shown yet.
#[derive(Debug)]
pub enum Turned {
    /// To the page where people log in, which says why.
    ToLogin {
        next: String,
        notice: &'static str,
    },
    Problem(Problem),
}

/// `__Host-` (RFC 6265bis, section 4.1.3.2): no other host, and nothing unencrypted, can have set it.
const SESSION_COOKIE: &str = "__Host-signet-session";

/// How exactly it is known when a session was last used.
const SEEN: Duration = Duration::from_secs(60);

/// Bytes of what the browser holds.
const SECRET: usize = 32;

impl Viewer {
    pub fn who(&self) -> Who {
        Who { name: plain(&self.caller.principal.to_string()), csrf: self.csrf.to_string() }
    }

    /// Has the service do something for the viewer, when their turn has come.
    ///
    /// # Errors
    /// Those of the operation, and those of [`crate::http::Admission::run`].
    pub async fn ask<T, F>(
        &self,
        state: &ApiState,
        operation: impl FnOnce(Arc<Service>, Caller) -> F,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ServiceError>> + Send + 'static,
    {
        let asking = operation(state.service.clone(), self.caller.clone());
        Ok(state.admission.run(&self.caller.principal, asking).await??)
    }

    /// Whether a form was made for this session.
    pub fn has_made(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }
}

/// Opens a session for `proven`, which ends no later than what it was proven with, and returns its cookie.
///
/// # Errors
/// Where it can not be kept, and where `proven` has logged in too often.
pub async fn open(audit: &AuditParts, proven: Proven, now: Timestamp) -> Result<HeaderValue, Problem> {
    audit.turnstile.pass(&proven.principal)?;
    let secret: [u8; SECRET] = rand::random();
    let mut until = later(now, audit.session_lifetime);
    // Who pastes a token gets no more than the token; an ID token says who somebody was when they logged in.
    if let (Some(end), Some(_)) = (proven.principal.expires(), &proven.token) {
        until = until.min(end);
    }
    let credential = proven.token.map(|token| hex::encode(Sha256::digest(token.expose_secret())));
    let content = Content { principal: proven.principal, credential };
    let content = serde_json::to_vec(&content).map_err(|_| Problem::internal())?;
    let session = Session { content, until, seen: now };
    audit.sessions.open_session(id_of(&secret), session).await.map_err(unavailable)?;
    cookie(SESSION_COOKIE, &URL_SAFE_NO_PAD.encode(secret), "Strict", None)
}

/// Ends a session.
///
/// # Errors
/// Where that can not be kept: then it is not ended.
pub async fn close(audit: &AuditParts, id: SessionId) -> Result<HeaderValue, Problem> {
    audit.sessions.close_session(id).await.map_err(unavailable)?;
    forgotten(SESSION_COOKIE, "Strict")
}

/// A cookie that the browser alone sees, and sends back to us alone.
///
/// # Errors
/// Where the value has characters that no cookie has.
pub fn cookie(
    name: &str,
    value: &str,
    same_site: &str,
    max_age: Option<Duration>,
) -> Result<HeaderValue, Problem> {
    let age = max_age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}{age}");
    HeaderValue::try_from(text).map_err(|_| Problem::internal())
}

/// What makes the browser forget a cookie.
///
/// # Errors
/// As [`cookie`].
pub fn forgotten(name: &str, same_site: &str) -> Result<HeaderValue, Problem> {
    cookie(name, "", same_site, Some(Duration::ZERO))
}

/// The value of a cookie; none where there is none, or more than one: which one counts would be a guess.
pub fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(of, _)| *of == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Where a viewer that was found is left for whoever writes a page about a problem.
pub type Found = Arc<OnceLock<Viewer>>;

impl FromRequestParts<ApiState> for Viewer {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Turned> {
        if let Some(found) = parts.extensions.get::<Found>()
            && let Some(viewer) = found.get()
        {
            return Ok(viewer.clone());
        }
        let viewer = look(parts, state).await?;
        if let Some(found) = parts.extensions.get::<Found>() {
            let _ = found.set(viewer.clone());
        }
        Ok(viewer)
    }
}

impl OptionalFromRequestParts<ApiState> for Viewer {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Option<Self>, Turned> {
        match <Self as FromRequestParts<ApiState>>::from_request_parts(parts, state).await {
            Ok(viewer) => Ok(Some(viewer)),
            Err(Turned::ToLogin { .. }) => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

/// The viewer whose cookie this is.
async fn look(parts: &Parts, state: &ApiState) -> Result<Viewer, Turned> {
    let to_login = |notice| Turned::ToLogin { next: parts.uri.to_string(), notice };
    let audit = state.audit.as_ref().ok_or_else(|| Turned::Problem(Problem::internal()))?;
    let value = cookie_value(&parts.headers, SESSION_COOKIE).ok_or_else(|| to_login(""))?;
    let secret = URL_SAFE_NO_PAD.decode(value).ok().filter(|secret| secret.len() == SECRET);
    let secret = secret.ok_or_else(|| to_login("over"))?;
    let id = id_of(&secret);
    let session = audit.sessions.session(id).await.map_err(unavailable)?;
    let session = session.ok_or_else(|| to_login("over"))?;
    let now = state.clock.now();
    let content: Option<Content> = serde_json::from_slice(&session.content).ok();
    let is_idle = later(session.seen, audit.idle_timeout) <= now;
    let holds = match &content {
        Some(content) if session.until > now && !is_idle => is_still_theirs(state, content),
        _ => false,
    };
    let Some(Content { principal, .. }) = content.filter(|_| holds) else {
        audit.sessions.close_session(id).await.map_err(unavailable)?;
        return Err(to_login("over"));
    };
    if later(session.seen, SEEN) <= now {
        audit.sessions.saw_session(id, now).await.map_err(unavailable)?;
    }
    let request_id = request_id(parts)?;
    Ok(Viewer { caller: Caller { principal, request_id }, session: id, csrf: csrf_of(&secret) })
}

/// Whether the token that the session was opened with would still be taken.
fn is_still_theirs(state: &ApiState, content: &Content) -> bool {
    let Some(credential) = &content.credential else { return true };
    let mut digest = [0; 32];
    hex::decode_to_slice(credential, &mut digest).is_ok()
        && state.authenticator.still_authentic(&digest, &content.principal)
}

fn id_of(secret: &[u8]) -> SessionId {
    SessionId(Sha256::digest(secret).into())
}

/// What forms of the session carry: nobody can tell it without the cookie, and it does not tell the cookie.
fn csrf_of(secret: &[u8]) -> Arc<str> {
    let digest = Sha256::new().chain_update(b"signet audit form\0").chain_update(secret).finalize();
    URL_SAFE_NO_PAD.encode(digest).into()
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn unavailable(error: LogError) -> Problem {
    Problem::from(ServiceError::from(error))
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ServiceError> for Turned {
    fn from(error: ServiceError) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::ToLogin { next, notice } => {
                let notice = (!notice.is_empty()).then(|| ("notice", notice.to_owned()));
                let next = (next != "/audit").then_some(("next", next));
                Redirect::to(&link("/audit/login", next.into_iter().chain(notice))).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_once_and_among_others() {
        let value = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, line.parse().unwrap());
            }
            cookie_value(&headers, "b").map(ToOwned::to_owned)
        };
        assert_eq!(value(&["a=1; b=2;c=3"]).as_deref(), Some("2"));
        assert_eq!(value(&["a=1", "b=x=y"]).as_deref(), Some("x=y"));
        for none in [&["a=1"][..], &["b=1; b=2"], &["b=1", "b=1"], &["ab=1"], &["b"], &[]] {
            assert_eq!(value(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_forms_carry_differs_for_each_session_and_is_not_its_name() {
        let (one, other) = (csrf_of(&[1; 32]), csrf_of(&[2; 32]));
        assert_ne!(one, other);
        assert_ne!(*one, *URL_SAFE_NO_PAD.encode(id_of(&[1; 32]).0));
    }
}
