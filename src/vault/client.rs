//! One call: token, headers, and what is tried again.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER};
use rustify::endpoint::{Endpoint, EndpointResult, MiddleWare};
use rustify::errors::ClientError;

use super::auth::TokenSource;
use super::endpoints::Health;
use super::signer::StartError;
use super::transport::Transport;
use crate::config::VaultConfig;
use crate::domain::BatchId;
use crate::metrics::Metrics;

/// Calls Vault with the token that is valid now.
///
/// Once more it tries, at most: with another token where the file holds another one than the
/// refused; and after a short pause where no answer came or Vault asked for such a pause. Making a
/// signature twice harms nobody: its intent stands, and only one of the two is handed on.
pub(super) struct Client {
    transport: Transport,
    tokens: TokenSource,
    namespace: Option<HeaderValue>,
    metrics: Arc<Metrics>,
    pub(super) timeout: Duration,
}

/// What Vault answered.
pub(super) struct Reply<T> {
    pub(super) data: T,
    /// Vault's own name of the call.
    pub(super) request_id: Option<String>,
}

/// Why there is no [`Reply`].
#[derive(Debug, Clone)]
pub(super) enum CallError {
    /// We have no token to show.
    Token(String),
    /// No connection: nothing was sent. `at_once` where that was clear without waiting.
    Unreachable {
        reason: String,
        at_once: bool,
    },
    /// The connection broke: something may have been done.
    Lost(String),
    Timeout,
    /// Any status but success.
    Status {
        status: StatusCode,
        errors: Vec<String>,
        retry_after: Option<Duration>,
    },
    /// The answer is not what Vault documents.
    Protocol(String),
}

/// Before a second try where no answer came: a Vault behind a proxy that changes its active node
/// has the next one ready then, or it takes much longer.
const PAUSE: Duration = Duration::from_millis(100);

/// A longer wait is the caller's to decide.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Client {
    pub(super) fn new(
        config: &VaultConfig,
        transport: Transport,
        tokens: TokenSource,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let namespace = config.namespace.as_deref().map(HeaderValue::try_from).transpose();
        let namespace = namespace.map_err(|_| StartError::Namespace)?;
        Ok(Self { transport, tokens, namespace, metrics, timeout: config.request_timeout })
    }

    /// Calls `endpoint`. `operation` is its name in the counters; `batch` goes into the header
    /// that Vault's audit log can show.
    pub(super) async fn call<E: Endpoint + Clone>(
        &self,
        operation: &'static str,
        endpoint: E,
        batch: Option<BatchId>,
    ) -> Result<Reply<E::Response>, CallError> {
        let mut token = self.tokens.current()?;
        let (mut token_changed, mut paused) = (false, false);
        loop {
            let headers = Headers { token: Some(token.clone()), namespace: self.namespace.clone(), batch };
            let failure = match self.attempt(operation, endpoint.clone(), headers).await {
                Ok(answer) => match success(&answer) {
                    Ok(reply) => return Ok(reply),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            if failure.is_denied()
                && !token_changed
                && let Some(other) = self.tokens.instead_of(&token)
            {
                (token, token_changed) = (other, true);
                continue;
            }
            match failure.worth_a_pause() {
                Some(pause) if !paused => {
                    paused = true;
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(failure),
            }
        }
    }

    /// Whether Vault says that it is sealed or not initialised. Asked without a token and without a
    /// namespace, which this call does not know.
    pub(super) async fn is_sealed(&self) -> bool {
        let headers = Headers { token: None, namespace: None, batch: None };
        let answer = self.attempt("health", Health {}, headers).await;
        answer.is_ok_and(|answer| matches!(answer.response.status().as_u16(), 501 | 503))
    }

    async fn attempt<E: Endpoint>(
        &self,
        operation: &'static str,
        endpoint: E,
        headers: Headers,
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
        let mut reason = String::new();
        let mut cause = http.source();
        while let Some(error) = cause {
            reason = if reason.is_empty() { error.to_string() } else { format!("{reason}: {error}") };
            cause = error.source();
        }
        if http.is_connect() {
            Self::Unreachable { reason, at_once: !http.is_timeout() }
        } else if http.is_timeout() {
            Self::Timeout
        } else {
            Self::Lost(reason)
        }
    }

    fn is_denied(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::FORBIDDEN, .. })
    }

    /// Whether a key or a version that is not there may be the reason: Vault answers 500 to some of a caller's faults.
    pub(super) fn may_be_the_key(&self) -> bool {
        matches!(self, Self::Status { status, .. } if matches!(status.as_u16(), 400 | 404 | 500))
    }

    /// How long to wait before the one second try, where one makes sense.
    fn worth_a_pause(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { at_once: true, .. } | Self::Lost(_) => Some(PAUSE),
            // The node has not yet seen what another one has: it will in a moment.
            Self::Status { status: StatusCode::PRECONDITION_FAILED, retry_after, .. } => {
                Some(retry_after.unwrap_or(PAUSE)).filter(|pause| *pause <= LONGEST_PAUSE)
            }
            Self::Status { status: StatusCode::TOO_MANY_REQUESTS, retry_after, .. } => {
                retry_after.filter(|pause| *pause <= LONGEST_PAUSE)
            }
            Self::Token(_)
            | Self::Unreachable { .. }
            | Self::Timeout
            | Self::Status { .. }
            | Self::Protocol(_) => None,
        }
    }
}

fn success<T>(answer: &EndpointResult<T>) -> Result<Reply<T>, CallError>
where
    T: serde::de::DeserializeOwned + Send + Sync,
{
    let (status, body) = (answer.response.status(), answer.response.body());
    if !status.is_success() {
        let errors = serde_json::from_slice::<vaultrs::api::EndpointError>(body);
        let errors = errors.map(|known| known.errors).unwrap_or_default();
        return Err(CallError::Status { status, errors, retry_after: retry_after(&answer.response) });
    }
    // The parser's error quotes what it read, so it is not passed on.
    let envelope = answer
        .wrap::<vaultrs::api::EndpointResult<T>>()
        .map_err(|_| CallError::Protocol("the answer is not what Vault documents".to_owned()))?;
    let data = envelope.data.ok_or_else(|| CallError::Protocol("the answer has no `data`".to_owned()))?;
    Ok(Reply { data, request_id: Some(envelope.request_id).filter(|id| !id.is_empty()) })
}

/// Vault gives whole seconds (RFC 9110, section 10.2.3).
fn retry_after(response: &Response<Vec<u8>>) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// What goes with a request beside its body.
struct Headers {
    token: Option<HeaderValue>,
    namespace: Option<HeaderValue>,
    batch: Option<BatchId>,
}

impl MiddleWare for Headers {
    fn request<E: Endpoint>(&self, _: &E, request: &mut Request<Vec<u8>>) -> Result<(), ClientError> {
        let headers = request.headers_mut();
        // An agent or proxy in front may insist on it, as a guard against forged requests.
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        if let Some(token) = &self.token {
            headers.insert("x-vault-token", token.clone());
        }
        if let Some(namespace) = &self.namespace {
            headers.insert("x-vault-namespace", namespace.clone());
        }
        if let Some(batch) = self.batch {
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
