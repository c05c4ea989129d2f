//! `GET /v1/log/export`: a part of the log, whole.

use std::io::Write as _;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, ToSchema};

use super::filter::Asked;
use super::filter::FilterParameters;
use super::tiles::takes_gzip;
use crate::http::ApiState;
use crate::http::problem::{Problem, ProblemBody};
use crate::ports::LogError;
use crate::service::{Caller, Export, ExportForm, ExportRequest};

/// Which part, and how it is written.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportParameters {
    /// `ndjson`, `csv` or `ocsf`. Default: `ndjson`.
    #[param(inline)]
    format: Option<Form>,
    /// From this entry on.
    from_index: Option<u64>,
    /// From the entry after this one on: the last one of an export that was cut.
    after: Option<u64>,
    /// The log's size that the export speaks of: entries below this index. Default: the newest.
    size: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Ndjson,
    Csv,
    Ocsf,
}

/// The size of the log that the export speaks of: the index behind the last entry that was looked at.
const SIZE: HeaderName = HeaderName::from_static("signet-log-size");

/// The index of the first entry that was looked at.
const FIRST: HeaderName = HeaderName::from_static("signet-log-first");

/// The checkpoint of that size, a signed note in base64; none where no checkpoint has just that size.
const CHECKPOINT: HeaderName = HeaderName::from_static("signet-log-checkpoint");

/// Export the log
///
/// All entries of a contiguous range that meet the conditions, in their order and as one stream, of which the last line says that it
/// is complete: `{"complete":true,…}`, or in CSV a row that begins with `complete`. Where that is missing, go on with `after`, the
/// last index that came, and `size` from the header `Signet-Log-Size`. With `Accept-Encoding: gzip` it is compressed.
#[utoipa::path(get, path = "/v1/log/export", tag = "log", security(("bearer" = [])), params(FilterParameters, ExportParameters), responses(
    (status = 200, description = "NDJSON: `{\"index\":N,\"entry\":{…}}` a line, each entry in the exact bytes that the log keeps; CSV with a header; or events of OCSF 1.3 a line", headers(
        ("Signet-Log-First" = u64, description = "The first index that was looked at"),
        ("Signet-Log-Size" = u64, description = "The index behind the last"),
        ("Signet-Log-Checkpoint" = String, description = "The signed checkpoint of that size, in base64"))),
    (status = 410, description = "The beginning is archived", body = ProblemBody, content_type = "application/problem+json"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn export(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Asked { filter, other }: Asked<ExportParameters>,
) -> Result<Response, Problem> {
    let form = other.format.unwrap_or_default();
    let first = match (other.from_index, other.after) {
        (Some(_), Some(_)) => return Err(Problem::invalid("Keep one of `from_index` and `after`.")),
        (Some(first), None) => Some(first),
        (None, Some(after)) => {
            let next = after.checked_add(1);
            Some(next.ok_or_else(|| Problem::invalid("`after` is behind every log."))?)
        }
        (None, None) => None,
    };
    let request = ExportRequest {
        form: match form {
            Form::Ndjson => ExportForm::Ndjson,
            Form::Csv => ExportForm::Csv,
            Form::Ocsf => ExportForm::Ocsf,
        },
        filter: filter.read()?,
        first,
        size: other.size,
    };
    let permit = state.exports.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let beginning = async move { service.export(&caller, request).await };
    let export = state.admission.run(&principal, beginning).await??;
    Ok(response(export, form, takes_gzip(&headers), permit))
}

fn response(export: Export, form: Form, gzip: bool, permit: OwnedSemaphorePermit) -> Response {
    let (first, size) = export.range();
    let (media_type, ending) = match form {
        Form::Ndjson => ("application/x-ndjson", "ndjson"),
        Form::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Form::Ocsf => ("application/x-ndjson", "ocsf.ndjson"),
    };
    let name = format!("attachment; filename=\"signet-log-{first}-{size}.{ending}\"");
    let checkpoint = export.checkpoint().map(|note| STANDARD.encode(note));
    let mut response = Body::from_stream(chunks(export, gzip, permit)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(FIRST, HeaderValue::from(first));
    headers.insert(SIZE, HeaderValue::from(size));
    let texts = [(CONTENT_DISPOSITION, Some(name)), (CHECKPOINT, checkpoint)];
    for (header, text) in texts {
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(header, value);
        }
    }
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The body, of which a piece is made when the connection takes it. A body that ends in an error is cut off, so that HTTP's
/// own framing shows it as well.
fn chunks(
    export: Export,
    gzip: bool,
    permit: OwnedSemaphorePermit,
) -> impl futures::Stream<Item = Result<Vec<u8>, LogError>> {
    let encoder = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    stream::try_unfold((export, encoder, permit), |(mut export, mut encoder, permit)| async move {
        loop {
            let chunk = export.chunk().await.inspect_err(|error| {
                tracing::warn!(%error, "an export was cut");
            })?;
            let is_last = chunk.is_none();
            let piece = match (&mut encoder, chunk) {
                (None, None) => return Ok(None),
                (None, Some(chunk)) => chunk,
                (Some(encoder), Some(chunk)) => {
                    encoder.write_all(&chunk).map_err(in_memory)?;
                    std::mem::take(encoder.get_mut())
                }
                (Some(_), None) => {
                    let encoder = encoder.take().expect("invariant: it has just been seen");
                    encoder.finish().map_err(in_memory)?
                }
            };
            // The encoder may keep what it got.
            if !piece.is_empty() || is_last {
                return Ok(Some((piece, (export, encoder, permit))));
            }
        }
    })
}

fn in_memory(error: std::io::Error) -> LogError {
    LogError(format!("an export could not be compressed: {error}"))
}
