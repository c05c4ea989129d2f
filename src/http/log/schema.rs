//! `/schemas/log-entry-v1.json`: the form of entries, for those who read them by program.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;

/// JSON Schema 2020-12. `docs/log-entry.schema.json` leads here.
const SCHEMA: &str = include_str!("entry.schema.json");

/// The JSON Schema of the log's entries, version 1
#[utoipa::path(get, path = "/schemas/log-entry-v1.json", tag = "log", responses((status = 200, body = Object)))]
pub async fn entry() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/schema+json")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    (headers, SCHEMA)
}
