//! `/.well-known/signet/keys.json` ([RFC 8615](https://www.rfc-editor.org/rfc/rfc8615)): one file for those who verify, and
//! want to hear of a new version of a key without looking for it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::keys::KeyList;
use super::problem::{Problem, ProblemBody};
use crate::domain::Digest;
use crate::service::Service;

/// A cache may keep the file, and asks each time whether it is still the same: a new version signs at once.
const CACHING: &str = "public, no-cache";

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
    let etag = format!("\"{}\"", Digest::of(&body).hex());
    let always = [(ETAG, etag.clone()), (CACHE_CONTROL, CACHING.to_owned())];
    Ok(match is_known(&headers, &etag) {
        true => (StatusCode::NOT_MODIFIED, always).into_response(),
        false => (always, [(CONTENT_TYPE, "application/json")], body).into_response(),
    })
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
