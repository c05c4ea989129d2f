//! `/audit/export`: what was found, as a file.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::session::{Turned, Viewer};
use crate::http::ApiState;
use crate::http::log::export::{ExportParameters, export};
use crate::http::log::filter::Asked;

/// As `GET /v1/log/export`, for whoever is logged in.
pub async fn download(
    state: State<ApiState>,
    viewer: Viewer,
    headers: HeaderMap,
    asked: Asked<ExportParameters>,
) -> Result<Response, Turned> {
    Ok(export(state, viewer.caller, headers, asked).await?)
}
