//! A token service on another host than its registry's, as GitLab's is, and the registry's side of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::proxy::Call;
use super::{Fault, servers, traps};

pub const USER: &str = "signet";
pub const PASSWORD: &str = "only-for-tests";

/// Clones share everything.
#[derive(Clone)]
pub struct TokenHost {
    /// `host:port`
    pub host: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Those that the registry takes.
    tokens: HashSet<String>,
    /// The scope of each request for a token.
    asked: Vec<String>,
    /// Answers that come before any token: a status, and a `Retry-After`.
    refusals: Vec<(StatusCode, Option<u64>)>,
    /// Calls that the registry takes until all tokens expire.
    left: Option<usize>,
}

impl TokenHost {
    pub fn start() -> Self {
        let shared = Arc::<Mutex<Shared>>::default();
        let router = Router::new().route("/jwt/auth", get(token)).with_state(shared.clone());
        Self { host: servers::serve(router).to_string(), shared }
    }

    /// The lines of a registry's section that let Signet in.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let lines = [
            format!("username = '{USER}'"),
            format!("password = '{PASSWORD}'"),
            format!("token_hosts = ['{}']", self.host),
        ];
        lines.map(|line| ("registries", line)).to_vec()
    }

    /// The registry's side: a challenge for every call that shows no valid token. Other hosts than the registry never see
    /// the password, so it does not either.
    pub fn challenge(&self, call: &Call) -> Option<Fault> {
        let shown = call.headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap());
        assert!(shown.is_none_or(|shown| shown.starts_with("Bearer ")), "the registry was shown a password");
        let mut shared = self.shared.lock().unwrap();
        if let Some(left) = &mut shared.left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => {
                    shared.left = None;
                    shared.tokens.clear();
                }
            }
        }
        let token = shown.and_then(|shown| shown.strip_prefix("Bearer "));
        if token.is_some_and(|token| shared.tokens.contains(token)) {
            return None;
        }
        let challenge = format!(
            r#"Bearer realm="http://{}/jwt/auth",service="container_registry",scope="repository:x:pull,push",error="invalid_token""#,
            self.host
        );
        let headers = vec![("www-authenticate", challenge)];
        Some(traps::problem(401, headers, "UNAUTHORIZED", "authentication required"))
    }

    /// All tokens so far expire after `calls` more calls.
    pub fn expire_after(&self, calls: usize) {
        self.shared.lock().unwrap().left = Some(calls);
    }

    /// The next requests get these answers instead of tokens.
    pub fn refuse(&self, refusals: &[(u16, Option<u64>)]) {
        let refusals =
            refusals.iter().map(|(status, after)| (StatusCode::from_u16(*status).unwrap(), *after));
        self.shared.lock().unwrap().refusals = refusals.rev().collect();
    }

    /// The scopes that tokens were asked for since the last call of this function.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().asked)
    }
}

async fn token(
    State(shared): State<Arc<Mutex<Shared>>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let mut shared = shared.lock().unwrap();
    let query = query.unwrap_or_default();
    let scope = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "scope");
    shared.asked.push(scope.map(|(_, scope)| scope.into_owned()).unwrap_or_default());
    let login = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if headers.get(header::AUTHORIZATION).is_none_or(|shown| *shown != login) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match shared.refusals.pop() {
        Some((status, None)) => status.into_response(),
        Some((status, Some(after))) => (status, [(header::RETRY_AFTER, after.to_string())]).into_response(),
        None => {
            let token = servers::unique("token");
            shared.tokens.insert(token.clone());
            Json(json!({"token": token, "expires_in": 300})).into_response()
        }
    }
}
