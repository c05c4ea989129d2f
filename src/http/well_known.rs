//! `/.well-known/signet/…` ([RFC 8615](https://www.rfc-editor.org/rfc/rfc8615)): files for those who verify, and want to hear
//! of a new version of a key without looking for it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::ApiState;
use super::keys::KeyList;
use super::problem::{Problem, ProblemBody};
use crate::domain::Digest;
use crate::ports::LogError;
use crate::service::{Service, ServiceError};

/// What a cache may do with a file.
#[derive(Clone, Copy)]
pub(super) enum Caching {
    /// Keep it, and ask each time whether it is still the same: a new version of a key signs at once.
    AskEachTime,
    /// Hand it out for a second.
    Moment,
}

impl Caching {
    const fn words(self) -> &'static str {
        match self {
            Self::AskEachTime => "public, no-cache",
            Self::Moment => "public, max-age=1",
        }
    }
}

/// All keys with all versions, to be polled
///
/// The same as `/v1/keys`, with an `ETag`: with it in `If-None-Match`, the answer is 304 while nothing has changed.
#[utoipa::path(get, path = "/.well-known/signet/keys.json", tag = "keys",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")), responses(
    (status = 200, body = KeyList, headers(("ETag" = String, description = "Strong: of these bytes"))),
    (status = 304, description = "Nothing has changed"),
    (status = 503, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn keys(State(service): State<Arc<Service>>, headers: HeaderMap) -> Result<Response, Problem> {
    let keys = KeyList::read(&service).await?;
    let body = serde_json::to_vec(&keys).map_err(|error| {
        tracing::error!(%error, "keys did not become JSON");
        Problem::internal()
    })?;
    Ok(file(&headers, "application/json", body, Caching::AskEachTime))
}

/// The keys that the log's checkpoints are verified with, the newest first
///
/// A verifier key in each line, `<name>+<key id>+<base64>`, as [signed notes](https://c2sp.org/signed-note) have them;
/// the name is the log's origin. `signet log verify --key-file` reads this. Pin what you got once, and compare.
#[utoipa::path(get, path = "/.well-known/signet/log-keys", tag = "log",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")), responses(
    (status = 200, body = String, content_type = "text/plain", headers(("ETag" = String, description = "Strong: of these bytes"))),
    (status = 304, description = "Nothing has changed"),
    (status = 503, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn log_keys(State(state): State<ApiState>, headers: HeaderMap) -> Result<Response, Problem> {
    let keys = state.notes.verifier_keys().await;
    let keys = keys.map_err(|error| ServiceError::Log(LogError(error.to_string())))?;
    let body: String = keys.iter().flat_map(|key| [key.as_str(), "\n"]).collect();
    Ok(file(&headers, "text/plain; charset=utf-8", body.into_bytes(), Caching::AskEachTime))
}

/// `body`, unless the caller has it.
pub(super) fn file(
    headers: &HeaderMap,
    content_type: &'static str,
    body: Vec<u8>,
    caching: Caching,
) -> Response {
    let etag = format!("\"{}\"", Digest::of(&body).hex());
    let always = [(ETAG, etag.clone()), (CACHE_CONTROL, caching.words().to_owned())];
    match is_known(headers, &etag) {
        true => (StatusCode::NOT_MODIFIED, always).into_response(),
        false => (always, [(CONTENT_TYPE, content_type)], body).into_response(),
    }
}

/// Whether the caller has what `etag` names ([RFC 9110, 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2):
/// compared weakly, so that a cache that has weakened it is understood).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut named = values.flat_map(|value| value.split(',')).map(str::trim);
    named.any(|name| name == "*" || name.strip_prefix("W/").unwrap_or(name) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_known_alone_in_a_list_and_weakened() {
        let known = |values: &[&str]| {
            let values = values.iter().map(|value| (IF_NONE_MATCH, value.parse().unwrap()));
            is_known(&values.collect(), "\"a\"")
        };
        for values in [&["\"a\""][..], &["W/\"a\""], &["\"b\", \"a\""], &["\"b\"", "\"a\""], &["*"]] {
            assert!(known(values), "{values:?}");
        }
        for values in [&[][..], &["\"b\""], &["a"], &[""]] {
            assert!(!known(values), "{values:?}");
        }
    }
}
