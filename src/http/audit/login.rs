//! Logging in, at a provider or with a token, and logging out.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::AuditParts;
use super::guard::from_our_own_page;
use super::page::{Frame, Section, html, html_with};
use super::parts::link;
use super::search::address;
use super::session::{self, Proven, Viewer, cookie, cookie_value, forgotten};
use crate::http::ApiState;
use crate::http::problem::Problem;
use crate::ports::{Credentials, LoginPending};

/// The page where people log in.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    /// The provider's name; none where there is none.
    provider: Option<String>,
    start: String,
    next: String,
    notice: Option<&'static str>,
    /// Whether the notice is about something that did not work.
    is_wrong: bool,
}

/// The page that takes the browser on after a provider has sent it back.
#[derive(Template)]
#[template(path = "arrived.html")]
struct ArrivedPage {
    frame: Frame,
    next: String,
}

#[derive(Deserialize)]
pub struct LoginParameters {
    #[serde(default)]
    next: String,
    #[serde(default)]
    notice: String,
}

#[derive(Deserialize)]
pub struct TokenForm {
    token: SecretString,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub struct LogoutForm {
    #[serde(default)]
    csrf: String,
}

/// What a provider sends the browser back with (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Deserialize)]
pub struct Returned {
    #[serde(default)]
    code: Option<SecretString>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    iss: Option<String>,
}

/// A log-in that is under way, as the browser keeps it.
#[derive(Serialize, Deserialize)]
struct UnderWay {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
}

/// It has to come back from the provider's site, so it is `Lax`; it is good for one log-in.
const LOGIN_COOKIE: &str = "__Host-signet-login";

/// How long somebody may take at the provider.
const AT_PROVIDER: Duration = Duration::from_secs(10 * 60);

/// Characters of the path to go on with.
const NEXT: usize = 2048;

/// What the page says above its form, by the name in its address.
const NOTICES: [(&str, &str, bool); 4] = [
    ("over", "Your session is over. Log in again to go on where you were.", false),
    ("bye", "You are logged out.", false),
    ("token", "This token is not known here, or no more. Paste another.", true),
    (
        "provider",
        "The provider did not log you in, or not to here. Try again; if it stays so, Signet's operators find the reason in its log.",
        true,
    ),
];

pub async fn form(
    State(state): State<ApiState>,
    viewer: Option<Viewer>,
    parameters: Result<Query<LoginParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let parameters = address(parameters)?;
    let next = own_path(&parameters.next);
    if viewer.is_some() && parameters.notice.is_empty() {
        return Ok(Redirect::to(&next).into_response());
    }
    html(&page(audit(&state)?, next, &parameters.notice))
}

/// Opens a session for whoever holds the token.
pub async fn with_token(
    State(state): State<ApiState>,
    headers: HeaderMap,
    form: Result<Form<TokenForm>, FormRejection>,
) -> Result<Response, Problem> {
    let audit = audit(&state)?;
    from_our_own_page(&headers, audit.public_url.as_ref())?;
    let Form(form) = form.map_err(|_| Problem::invalid("Paste a token and send the form again."))?;
    let next = own_path(&form.next);
    let token: SecretString = form.token.expose_secret().trim().to_owned().into();
    let credentials = Credentials { bearer: Some(token.clone()), certificate: None };
    match state.authenticator.authenticate(&credentials).await {
        Ok(principal) => {
            let proven = Proven { principal, token: Some(token) };
            let cookie = session::open(audit, proven, state.clock.now()).await?;
            Ok((AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(&next)).into_response())
        }
        Err(error) => {
            if let Some(left_out) = state.unauthenticated.line(state.clock.now()) {
                tracing::info!(%error, left_out, "not logged in");
            }
            html_with(StatusCode::UNAUTHORIZED, &page(audit, next, "token"))
        }
    }
}

/// Sends the browser to the provider.
pub async fn start(
    State(state): State<ApiState>,
    parameters: Result<Query<LoginParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let parameters = address(parameters)?;
    let audit = audit(&state)?;
    let (Some(login), Some(redirect)) = (&audit.login, audit.callback()) else {
        return Err(Problem::not_found("There is no provider to log in at. Paste a token instead."));
    };
    let begun = login.begin(&redirect).await.map_err(|error| {
        tracing::warn!(%error, "nobody can log in at the provider");
        Problem::provider_unavailable()
    })?;
    let LoginPending { state, nonce, verifier } = begun.pending;
    let under_way = UnderWay {
        state,
        nonce,
        verifier: verifier.expose_secret().to_owned(),
        next: own_path(&parameters.next),
    };
    let value = serde_json::to_vec(&under_way).map_err(|_| Problem::internal())?;
    let cookie = cookie(LOGIN_COOKIE, &URL_SAFE_NO_PAD.encode(value), "Lax", Some(AT_PROVIDER))?;
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(begun.url.as_str())).into_response())
}

/// Where the provider sends the browser back to.
///
/// The answer is a page that goes on, and not a redirect: on the way from another site, the browser would not send a cookie that is
/// `SameSite=Strict`.
pub async fn callback(
    State(state): State<ApiState>,
    headers: HeaderMap,
    returned: Result<Query<Returned>, QueryRejection>,
) -> Result<Response, Problem> {
    let audit = audit(&state)?;
    let (Some(login), Some(redirect)) = (&audit.login, audit.callback()) else {
        return Err(Problem::not_found("There is no provider to log in at. Paste a token instead."));
    };
    let forget = forgotten(LOGIN_COOKIE, "Lax")?;
    let not_logged_in = |reason: &str| {
        if let Some(left_out) = state.unauthenticated.line(state.clock.now()) {
            tracing::info!(reason, left_out, "not logged in at the provider");
        }
        let to = link("/audit/login", [("notice", "provider".to_owned())]);
        Ok((AppendHeaders([(SET_COOKIE, forget.clone())]), Redirect::to(&to)).into_response())
    };
    let Ok(Query(returned)) = returned else { return not_logged_in("the answer can not be read") };
    let under_way = cookie_value(&headers, LOGIN_COOKIE).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
    let under_way = under_way.and_then(|bytes| serde_json::from_slice::<UnderWay>(&bytes).ok());
    let Some(under_way) = under_way else { return not_logged_in("no log-in of this browser is under way") };
    if !bool::from(under_way.state.as_bytes().ct_eq(returned.state.as_bytes())) {
        return not_logged_in("it is the answer to another log-in");
    }
    if let Some(error) = returned.error {
        let error: String = error.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
        return not_logged_in(&format!("the provider says {error}"));
    }
    let Some(code) = returned.code else { return not_logged_in("there is no code") };
    let pending =
        LoginPending { state: under_way.state, nonce: under_way.nonce, verifier: under_way.verifier.into() };
    let principal = match login.finish(&redirect, code, pending, returned.iss.as_deref()).await {
        Ok(principal) => principal,
        Err(error) => return not_logged_in(&error.to_string()),
    };
    let proven = Proven { principal, token: None };
    let cookie = session::open(audit, proven, state.clock.now()).await?;
    let page = ArrivedPage {
        frame: Frame::new("Logged in", Section::Elsewhere, None),
        next: own_path(&under_way.next),
    };
    Ok((AppendHeaders([(SET_COOKIE, cookie), (SET_COOKIE, forget)]), html(&page)?).into_response())
}

/// Ends the session.
pub async fn logout(
    State(state): State<ApiState>,
    headers: HeaderMap,
    viewer: Viewer,
    form: Result<Form<LogoutForm>, FormRejection>,
) -> Result<Response, Problem> {
    let audit = audit(&state)?;
    from_our_own_page(&headers, audit.public_url.as_ref())?;
    let Form(form) = form.map_err(|_| Problem::from_elsewhere())?;
    if !viewer.has_made(&form.csrf) {
        return Err(Problem::from_elsewhere());
    }
    let cookie = session::close(audit, viewer.session).await?;
    let to = link("/audit/login", [("notice", "bye".to_owned())]);
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(&to)).into_response())
}

fn audit(state: &ApiState) -> Result<&AuditParts, Problem> {
    state.audit.as_deref().ok_or_else(Problem::internal)
}

fn page(audit: &AuditParts, next: String, notice: &str) -> LoginPage {
    let notice = NOTICES.iter().find(|(name, ..)| *name == notice);
    LoginPage {
        frame: Frame::new("Log in", Section::Elsewhere, None),
        provider: audit.login.as_ref().map(|login| login.name().to_owned()),
        start: link("/audit/login/start", [("next", next.clone())]),
        next,
        notice: notice.map(|(_, text, _)| *text),
        is_wrong: notice.is_some_and(|(.., is_wrong)| *is_wrong),
    }
}

/// The path to go on with, where it is one of these pages; else the first of them.
fn own_path(next: &str) -> String {
    let is_ours = |uri: &Uri| {
        uri.authority().is_none()
            && (uri.path() == "/audit" || uri.path().starts_with("/audit/"))
            && !["/audit/login", "/audit/logout"].iter().any(|other| uri.path().starts_with(other))
            && !uri.path().contains("//")
            && !uri.path().contains("..")
            // Browsers take escaped dots for dots.
            && !uri.path().to_ascii_lowercase().contains("%2e")
    };
    let fits = next.len() <= NEXT && next.is_ascii() && next.starts_with('/') && !next.contains('\\');
    match next.parse::<Uri>() {
        Ok(uri) if fits && is_ours(&uri) => next.to_owned(),
        _ => "/audit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_logging_in_the_browser_goes_to_one_of_our_pages_alone() {
        for ours in ["/audit", "/audit/search?q=a%2Fb&kind=refusal", "/audit/entries/7"] {
            assert_eq!(own_path(ours), ours);
        }
        for other in [
            "",
            "https://evil.example/audit",
            "//evil.example/audit",
            "/audit//evil.example",
            "/\\evil.example",
            "/audit/../v1/keys",
            "/audit/%2e%2E/v1/keys",
            "/audit/.%2e/v1/keys",
            "/auditor",
            "/audit/login",
            "/audit/logout",
            "javascript:alert(1)",
            "/audit\u{a}Set-Cookie: a=b",
            "/audit/\u{202e}",
        ] {
            assert_eq!(own_path(other), "/audit", "{other}");
        }
        assert_eq!(own_path(&format!("/audit/{}", "a".repeat(NEXT))), "/audit");
    }
}
