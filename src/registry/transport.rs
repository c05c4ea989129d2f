//! One HTTP call: counted, and bounded in time and size.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::answer::Answer;
use super::failure::{Host, causes};
use crate::domain::Content;
use crate::metrics::Metrics;
use crate::ports::RegistryError;

/// The HTTP client of one registry. Redirects are answers like any other: nothing is followed here.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) host: Host,
    pub(super) metrics: Arc<Metrics>,
    /// For one call, with its answer.
    pub(super) timeout: Duration,
}

/// What to send. It can be sent again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Its name in the metrics.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Content>,
    /// Bytes of a successful answer's body. More is an error.
    pub(super) limit: u64,
}

impl Call {
    /// A call without a body, whose answer's body does not matter.
    pub(super) fn new(operation: &'static str, method: Method, url: Url) -> Self {
        Self { operation, method, url, headers: HeaderMap::new(), body: None, limit: Transport::MAX_NOTE }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a body, which may be empty.
    pub(super) fn body(mut self, body: Content) -> Self {
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        self.body = Some(body);
        self
    }

    pub(super) const fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }
}

impl Transport {
    pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// Bytes of a body that only explains something. The rest of a longer one is not read.
    pub(super) const MAX_NOTE: u64 = 64 * 1024;

    /// Sends `call` once.
    ///
    /// # Errors
    /// Where no whole answer came back. An answer of any status is none.
    pub(super) async fn transmit(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, RegistryError> {
        let began = Instant::now();
        let result = self.exchange(call, authorization).await;
        let outcome = match &result {
            Ok(answer) => answer.status.as_str(),
            Err(RegistryError::Timeout { .. }) => "timeout",
            Err(RegistryError::Unavailable { .. }) => "unreachable",
            Err(_) => "unreadable",
        };
        self.metrics.registry_call(self.host.name(), call.operation, outcome, began.elapsed());
        result
    }

    async fn exchange(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, RegistryError> {
        let mut request =
            self.http.request(call.method.clone(), call.url.clone()).headers(call.headers.clone());
        if let Some(body) = &call.body {
            request = request.body(streamed(body));
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let mut response = request.send().await.map_err(|error| self.failure(error))?;
        let status = response.status();
        // What is announced as too large is not waited for. An answer to HEAD announces what it does not have.
        let announced = response.content_length().filter(|_| call.method != Method::HEAD);
        if status.is_success() && announced.is_some_and(|length| length > call.limit) {
            return Err(self.host.too_large(call.limit));
        }
        let headers = std::mem::take(response.headers_mut());
        let body = self.read(response, status, call.limit).await?;
        Ok(Answer { status, headers, body })
    }

    /// The body, read no further than its limit whatever length was announced.
    async fn read(
        &self,
        mut response: reqwest::Response,
        status: StatusCode,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(error))? {
            let length = (body.len() + chunk.len()) as u64;
            if status.is_success() && length > limit {
                return Err(self.host.too_large(limit));
            }
            if !status.is_success() && length > Self::MAX_NOTE {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn failure(&self, error: reqwest::Error) -> RegistryError {
        if error.is_timeout() {
            let after =
                if error.is_connect() { Self::CONNECT_TIMEOUT.min(self.timeout) } else { self.timeout };
            self.host.timeout(after)
        } else if error.is_builder() {
            self.host.protocol(causes(error))
        } else {
            self.host.unavailable(causes(error))
        }
    }
}

/// The bytes of `content` as they are: what comes in pieces goes in pieces, with the length that the call announces.
fn streamed(content: &Content) -> reqwest::Body {
    let mut pieces = content.pieces().cloned().collect::<Vec<_>>();
    match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default().into(),
        _ => reqwest::Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<Bytes, Infallible>))),
    }
}
