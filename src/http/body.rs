//! A request's body, as an extractor.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::ApiState;
use super::problem::Problem;
use crate::domain::Digest;
use crate::input;

/// A whole body: of limited size, and arrived in limited time. A caller who stops in its middle would
/// otherwise keep a connection for ever, and the service from ending.
pub struct Body(Bytes);

impl Body {
    /// What tells one request to `path` from another.
    pub fn digest(&self, path: &str) -> Digest {
        Digest::of(&[path.as_bytes(), b"\n", &self.0].concat())
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
            _ => Problem::invalid("The body could not be read to its end. Send it again."),
        })
    }
}
