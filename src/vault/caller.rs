//! One attempt at one call, and what came of it.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use rustify::endpoint::{Endpoint, EndpointResult, MiddleWare};
use rustify::errors::ClientError;
use tokio::time::Instant;
use url::Url;
use vaultrs::api::EndpointResult as Envelope;

use super::signer::StartError;
use super::transport::Transport;
use crate::causes::causes;
use crate::config::VaultConfig;
use crate::domain::BatchId;
use crate::metrics::Metrics;

/// Sends calls to Vault, one attempt each, and counts them. Whose token goes along is the caller's to say.
pub(super) struct Caller {
    pub(super) transport: Transport,
    namespace: Option<HeaderValue>,
    metrics: Arc<Metrics>,
}

/// Why there is no answer to work with.
#[derive(Debug, Clone)]
pub(super) enum CallError {
    /// We have no token to show, and waiting does not bring one.
    Token(String),
    /// We have none yet.
    LoggedOut,
    /// No connection: nothing was sent. `at_once` where that was clear without waiting.
    Unreachable {
        reason: String,
        at_once: bool,
    },
    /// The connection broke: something may have been done.
    Lost(String),
    Timeout,
    /// A standby, whose active node is none of the configured ones.
    Redirected {
        to: String,
    },
    /// Any other status but success.
    Status {
        status: StatusCode,
        errors: Vec<String>,
        retry_after: Option<Duration>,
    },
    /// The answer is not what Vault documents.
    Protocol(String),
}

/// What goes with a request beside its body.
#[derive(Clone, Copy, Default)]
pub(super) struct With<'a> {
    pub(super) token: Option<&'a HeaderValue>,
    /// Goes into the header that Vault's audit log can show.
    pub(super) batch: Option<BatchId>,
}

impl Caller {
    /// # Errors
    /// Where the address, the namespace or the authorities' file can not be used.
    pub(super) fn new(config: &VaultConfig, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        let namespace = config.namespace.as_deref().map(HeaderValue::try_from).transpose();
        let namespace = namespace.map_err(|_| StartError::Namespace)?;
        Ok(Self { transport: Transport::new(config)?, namespace, metrics })
    }

    /// What Vault answers. `operation` is the call's name in the counters.
    pub(super) async fn ask<E: Endpoint>(
        &self,
        operation: &'static str,
        endpoint: E,
        with: With<'_>,
    ) -> Result<Envelope<E::Response>, CallError> {
        let headers = Headers { with, namespace: self.namespace.as_ref() };
        let answer = self.exchange(operation, endpoint, headers).await?;
        let (status, body) = (answer.response.status(), answer.response.body());
        if status.is_redirection() {
            return Err(CallError::Redirected { to: destination(&answer.response) });
        }
        if !status.is_success() {
            let errors = serde_json::from_slice::<vaultrs::api::EndpointError>(body);
            let errors = errors.map(|known| known.errors).unwrap_or_default();
            return Err(CallError::Status { status, errors, retry_after: retry_after(&answer.response) });
        }
        // The parser's error quotes what it read, so it is not passed on; rustify's would also be logged.
        serde_json::from_slice(body)
            .map_err(|_| CallError::Protocol("the answer is not what Vault documents".to_owned()))
    }

    /// The status alone. Asked without a token, and without a namespace, which `sys/health` does not know.
    pub(super) async fn status<E: Endpoint>(
        &self,
        operation: &'static str,
        endpoint: E,
    ) -> Result<StatusCode, CallError> {
        let headers = Headers { with: With::default(), namespace: None };
        Ok(self.exchange(operation, endpoint, headers).await?.response.status())
    }

    async fn exchange<E: Endpoint>(
        &self,
        operation: &'static str,
        endpoint: E,
        headers: Headers<'_>,
    ) -> Result<EndpointResult<E::Response>, CallError> {
        let begun = Instant::now();
        let result = endpoint.with_middleware(&headers).exec(&self.transport).await;
        let result = result.map_err(CallError::from_rustify);
        let outcome = match &result {
            Ok(answer) => answer.response.status().as_str().to_owned(),
            Err(CallError::Timeout) => "timeout".to_owned(),
            Err(_) => "unreachable".to_owned(),
        };
        self.metrics.vault_call(operation, outcome, begun.elapsed());
        result
    }
}

impl CallError {
    fn from_rustify(error: ClientError) -> Self {
        let (ClientError::RequestError { source, .. } | ClientError::ResponseError { source }) = error else {
            return Self::Protocol(error.to_string());
        };
        let Some(http) = source.downcast_ref::<reqwest::Error>() else {
            return Self::Protocol(source.to_string());
        };
        // The outermost text repeats the URL; those below say what happened.
        let reason = http.source().map(causes).unwrap_or_default();
        if http.is_connect() {
            Self::Unreachable { reason, at_once: !http.is_timeout() }
        } else if http.is_timeout() {
            Self::Timeout
        } else {
            Self::Lost(reason)
        }
    }

    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::FORBIDDEN, .. })
    }

    /// Whether a key or a version that is not there may be the reason: Vault answers 500 to some of a caller's faults.
    pub(super) fn may_be_the_key(&self) -> bool {
        matches!(self, Self::Status { status, .. } if matches!(status.as_u16(), 400 | 404 | 500))
    }

    /// Whether Vault has understood the call and will answer the same again: a fault of ours, or of what we showed.
    pub(super) fn is_our_fault(&self) -> bool {
        matches!(self, Self::Status { status, .. }
            if status.is_client_error() && !matches!(status.as_u16(), 408 | 412 | 429))
    }
}

/// What a success has to tell.
///
/// # Errors
/// Where it tells nothing.
pub(super) fn data<T>(envelope: Envelope<T>) -> Result<T, CallError> {
    envelope.data.ok_or_else(|| CallError::Protocol("the answer has no `data`".to_owned()))
}

/// Where a redirect leads, without its path, which is ours.
fn destination(response: &Response<Vec<u8>>) -> String {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.and_then(|text| Url::parse(text).ok());
    location.map_or_else(|| "nowhere".to_owned(), |url| url.origin().ascii_serialization())
}

/// Vault gives whole seconds (RFC 9110, section 10.2.3).
fn retry_after(response: &Response<Vec<u8>>) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

struct Headers<'a> {
    with: With<'a>,
    namespace: Option<&'a HeaderValue>,
}

impl MiddleWare for Headers<'_> {
    fn request<E: Endpoint>(&self, _: &E, request: &mut Request<Vec<u8>>) -> Result<(), ClientError> {
        let headers = request.headers_mut();
        // An agent or proxy in front may insist on it, as a guard against forged requests.
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        if let Some(token) = self.with.token {
            headers.insert("x-vault-token", token.clone());
        }
        if let Some(namespace) = self.namespace {
            headers.insert("x-vault-namespace", namespace.clone());
        }
        if let Some(batch) = self.with.batch {
            let value = HeaderValue::try_from(batch.to_string())
                .expect("invariant: a UUID is hexadecimal digits and hyphens");
            headers.insert("x-signet-batch-id", value);
        }
        Ok(())
    }

    fn response<E: Endpoint>(&self, _: &E, _: &mut Response<Vec<u8>>) -> Result<(), ClientError> {
        Ok(())
    }
}
