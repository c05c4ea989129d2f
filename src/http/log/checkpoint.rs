//! `/log/checkpoint`: the log's newest signed head. <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md#checkpoints>

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::http::problem::{Problem, ProblemBody};
use crate::http::well_known::{Caching, file};
use crate::service::Service;

/// The log's newest checkpoint
///
/// A [signed note](https://c2sp.org/signed-note) that says how many entries the log has, and the root of the tree over them:
/// a [checkpoint](https://c2sp.org/tlog-checkpoint). `/.well-known/signet/log-keys` has the keys that it verifies with.
#[utoipa::path(get, path = "/log/checkpoint", tag = "log",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")), responses(
    (status = 200, body = String, content_type = "text/plain", headers(("ETag" = String, description = "Strong: of these bytes"))),
    (status = 304, description = "It is still the newest one"),
    (status = 404, description = "None has been published yet", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn newest(State(service): State<Arc<Service>>, headers: HeaderMap) -> Result<Response, Problem> {
    let checkpoint = service.log_checkpoint().await?;
    let none = || Problem::not_found("The log has published no checkpoint yet. Try again in a moment.");
    let note = checkpoint.ok_or_else(none)?.note.clone();
    Ok(file(&headers, "text/plain; charset=utf-8", note.into_bytes(), Caching::Moment))
}
