//! Bodies of requests that have to fit into memory.

use axum::body::Body;
use futures::StreamExt as _;

/// Why a body was not read.
pub(super) enum BodyError {
    TooLarge,
    /// The client went away.
    Interrupted,
}

/// Reads a body of at most `limit` bytes. Of a larger one the rest is read and dropped, up to a bound: a client that is
/// still sending when the answer comes takes it for a broken connection and does not look at it.
pub(super) async fn read(body: Body, limit: usize) -> Result<Vec<u8>, BodyError> {
    const DROPPED_AT_MOST: usize = 64 * 1024 * 1024;
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    let mut dropped = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Interrupted)?;
        if dropped == 0 && read.len() + chunk.len() <= limit {
            read.extend_from_slice(&chunk);
            continue;
        }
        dropped += chunk.len();
        if dropped > DROPPED_AT_MOST {
            break;
        }
    }
    if dropped == 0 { Ok(read) } else { Err(BodyError::TooLarge) }
}
