//! `/log/tile/…`: the log's tree and its entries, for whoever checks them.
//! <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md#apis>

use std::io::Write as _;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use crate::http::ApiState;
use crate::http::problem::{Problem, ProblemBody};
use crate::service::Caller;
use crate::tlog::{Row, TilePath};

/// What readers whom nobody knows may take of the service: a few looks into the store at a time, and what never changes
/// out of memory. So however many they are, signatures do not wait for them.
pub struct PublicTiles {
    turns: Semaphore,
    full: Cache<TilePath, Bytes>,
}

impl Default for PublicTiles {
    fn default() -> Self {
        Self { turns: Semaphore::new(Self::AT_ONCE), full: Cache::new(Self::KEPT) }
    }
}

impl PublicTiles {
    /// Looks into the store at once.
    const AT_ONCE: usize = 2;

    /// Full tiles that are kept: 8 MiB of them.
    const KEPT: u64 = 1024;

    /// How long somebody waits for a look.
    const PATIENCE: Duration = Duration::from_secs(2);
}

/// A tile of the log's tree
///
/// Hashes side by side, 32 bytes each, as [tlog-tiles](https://c2sp.org/tlog-tiles) has them. Full tiles have 256 of them, and
/// never change; those at the right edge are partial, and `.p/` with their width stands behind the number.
#[utoipa::path(get, path = "/log/tile/{level}/{number}", tag = "log",
    params(("level" = u8, Path, description = "0 to 63"),
        ("number" = String, Path, description = "In groups of three digits, all but the last with an `x`: `x001/x234/067`; \
            behind it `.p/<width>` for a partial tile")), responses(
    (status = 200, body = String, content_type = "application/octet-stream"),
    (status = 400, body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "The newest checkpoint's tree does not have it", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn hashes(State(state): State<ApiState>, uri: Uri) -> Result<Response, Problem> {
    let path = path_of(&uri)?;
    if path.row == Row::Entries {
        return Err(not_there());
    }
    let tiles = &state.tiles;
    if let Some(bytes) = tiles.full.get(&path) {
        return Ok(tile("public", bytes));
    }
    let turn = tokio::time::timeout(PublicTiles::PATIENCE, tiles.turns.acquire()).await;
    let _turn = turn.map_err(|_| Problem::overloaded())?.map_err(|_| Problem::internal())?;
    let bytes = Bytes::from(state.service.log_tile(path).await?.ok_or_else(not_there)?);
    if path.is_full() {
        tiles.full.insert(path, bytes.clone());
    }
    Ok(tile("public", bytes))
}

/// A tile of the log's entries
///
/// The exact bytes of up to 256 entries, each behind its length in two bytes, the larger one first. Their hashes are in the
/// tile of level 0 with the same number. They are for those who may read the whole log.
#[utoipa::path(get, path = "/log/tile/entries/{number}", tag = "log", security(("bearer" = [])),
    params(("number" = String, Path, description = "As that of other tiles")), responses(
    (status = 200, body = String, content_type = "application/octet-stream"),
    (status = 400, body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "The newest checkpoint's tree does not have it", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn entries(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let path = path_of(&uri)?;
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let packed = takes_gzip(&headers);
    let reading = async move {
        let bundle = service.log_bundle(&caller, path).await.map_err(Problem::from)?;
        let bundle = bundle.ok_or_else(not_there)?;
        match packed {
            true => tokio::task::spawn_blocking(move || pack(&bundle)).await.map_err(|_| Problem::internal()),
            false => Ok(bundle),
        }
    };
    let bytes = state.admission.run(&principal, reading).await??;
    let mut response = tile("private", bytes.into());
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept-encoding, authorization"));
    if packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// The path as it was written: there is one for each tile, and escapes are none of it.
fn path_of(uri: &Uri) -> Result<TilePath, Problem> {
    let path = uri.path().strip_prefix("/log/tile/").unwrap_or_default();
    path.parse().map_err(|error| Problem::invalid(sentence(&error)))
}

fn sentence(error: &crate::tlog::TilePathError) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

fn not_there() -> Problem {
    Problem::not_found(
        "The tree of the newest checkpoint does not have this tile. `/log/checkpoint` says how many entries there are.",
    )
}

/// What has a name never changes.
fn tile(who: &str, bytes: Bytes) -> Response {
    let caching = format!("{who}, max-age=31536000, immutable");
    ([(CONTENT_TYPE, "application/octet-stream".to_owned()), (CACHE_CONTROL, caching)], bytes).into_response()
}

/// Whether the caller says that it understands gzip (RFC 9110, section 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let written = packed.write_all(bytes).and_then(|()| packed.finish());
    written.expect("invariant: a vector takes whatever is written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        let takes =
            |value: &str| takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]));
        for value in ["gzip", "br, GZIP;q=0.5", "deflate,gzip"] {
            assert!(takes(value), "{value}");
        }
        for value in ["", "identity", "gzip;q=0", "x-gzipped", "br"] {
            assert!(!takes(value), "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
