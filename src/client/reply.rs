//! What the server answered.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::error::{ClientError, Refusal};

/// An answer of success.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Reply {
    /// Bytes of an answer: a bundle around the largest attestation fits.
    const MAX_BYTES: usize = 64 * 1024 * 1024;

    pub(super) async fn read(url: &Url, response: Response) -> Result<Self, ClientError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = read(url, response).await?;
        match serde_json::from_slice(&bytes) {
            Ok(body) if status.is_success() => Ok(Self { status: status.as_u16(), body }),
            _ => Err(refused(url, status, &headers, &bytes)),
        }
    }
}

/// The body of a success, unpacked.
pub(super) async fn bytes(url: &Url, response: Response) -> Result<Vec<u8>, ClientError> {
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = read(url, response).await?;
    if status.is_success() {
        let packed = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
        let mut unpacked = Vec::new();
        return match packed {
            false => Ok(bytes),
            true => GzDecoder::new(&bytes[..])
                .take(Reply::MAX_BYTES as u64)
                .read_to_end(&mut unpacked)
                .map(|_| unpacked)
                .map_err(|_| ClientError::not_signet(url, status.as_u16())),
        };
    }
    Err(refused(url, status, &headers, &bytes))
}

/// What an answer says that is no success; also one that no Signet gives.
fn refused(url: &Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ClientError {
    let refusal = serde_json::from_slice(body).ok().and_then(|body| Refusal::parse(status.as_u16(), &body));
    refusal.map_or_else(
        || ClientError::not_signet(url, status.as_u16()),
        |refusal| error_of(refusal, status, headers),
    )
}

fn error_of(refusal: Refusal, status: StatusCode, headers: &HeaderMap) -> ClientError {
    let retry_after = retry_after(headers);
    // What is used up for good is told without a time.
    let is_final = status == StatusCode::TOO_MANY_REQUESTS && retry_after.is_none();
    if !is_final && (status.is_server_error() || Refusal::may_pass(status.as_u16())) {
        ClientError::Failed { refusal, retry_after }
    } else {
        ClientError::Refused { refusal }
    }
}

/// Seconds, as Signet writes it. A date that a proxy may write is passed over.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(url: &Url, mut response: Response) -> Result<Vec<u8>, ClientError> {
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| ClientError::of(url, error))? {
        if bytes.len() + chunk.len() > Reply::MAX_BYTES {
            return Err(ClientError::not_signet(url, status));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
