//! A request's body, as an extractor.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use bytes::BytesMut;
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use super::ApiState;
use super::admission::Share;
use super::problem::Problem;
use crate::domain::{Content, Digest};
use crate::input;
use crate::service::Caller;

/// A whole body: of limited size, and arrived in limited time. A caller who stops in its middle would
/// otherwise keep a connection for ever, and the service from ending.
pub struct Body(Bytes);

impl Body {
    /// What tells one request to `path` from another.
    pub fn digest(&self, path: &str) -> Digest {
        request_digest(path, &self.0)
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        input::from_json(&self.0).map_err(|error| Problem::unreadable(&error))
    }
}

impl FromRequest<ApiState> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let body = tokio::time::timeout(state.request_timeout, Bytes::from_request(request, state))
            .await
            .map_err(|_| Problem::slow_body(state.request_timeout))?;
        body.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(state.body_bytes),
            _ => Problem::unfinished_body(),
        })
    }
}

/// As [`Body`], with up to `LIMIT` bytes, whatever the configuration allows others. Nothing of it is read before
/// it is known who sends it, and there is room for all of it.
pub struct LargeBody<const LIMIT: usize> {
    /// In one piece, of which parts can be kept without copying them.
    pub bytes: Bytes,
    /// The room that it takes. To be kept for as long as any part of it is.
    pub share: Share,
}

impl<const LIMIT: usize> FromRequest<ApiState> for LargeBody<LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let announced = announced.and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length > LIMIT) {
            return Err(Problem::too_large(LIMIT));
        }
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let share = state.admission.share(&caller.principal, announced.unwrap_or(LIMIT)).await?;
        let bytes = tokio::time::timeout(state.request_timeout, read::<LIMIT>(request, announced))
            .await
            .map_err(|_| Problem::slow_body(state.request_timeout))??;
        Ok(Self { bytes, share })
    }
}

impl<const LIMIT: usize> LargeBody<LIMIT> {
    /// What tells one request to `path` from another.
    pub fn digest(&self, path: &str) -> Digest {
        request_digest(path, &self.bytes)
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        input::from_json(&self.bytes).map_err(|error| Problem::unreadable(&error))
    }

    /// A `T` that reads what stands under `key` as `()`, and that as it was sent, without a copy.
    pub fn json_around<T: DeserializeOwned>(&self, key: &'static str) -> Result<(T, Bytes), Problem> {
        let (request, raw) =
            input::from_json_around(&self.bytes, key).map_err(|error| Problem::unreadable(&error))?;
        Ok((request, self.bytes.slice_ref(raw.unwrap_or_default())))
    }
}

fn request_digest(path: &str, body: &Bytes) -> Digest {
    let mut content = Content::from(format!("{path}\n"));
    content.push(body.clone());
    content.digest()
}

async fn read<const LIMIT: usize>(request: Request, announced: Option<usize>) -> Result<Bytes, Problem> {
    let mut body = BytesMut::with_capacity(announced.unwrap_or_default());
    let mut chunks = request.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::unfinished_body())?;
        if body.len() + chunk.len() > LIMIT {
            return Err(Problem::too_large(LIMIT));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
