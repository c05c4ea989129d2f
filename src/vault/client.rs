//! A call with the token that is valid now, and what is tried again.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use rustify::endpoint::Endpoint;
use tokio::time::Instant;

use super::auth::{Lease, Tokens};
pub(super) use super::caller::CallError;
use super::caller::{Caller, With, data};
use super::endpoints::Health;
use crate::domain::BatchId;

/// Calls Vault with the token that is valid now.
///
/// It tries again with another token where the refused one was dead, as often as that happens within the time for a
/// call; and once after a short pause where no answer came or Vault asked for a pause. Making a signature twice
/// harms nobody: its intent stands, and only one of the two is handed on.
pub(super) struct Client {
    caller: Arc<Caller>,
    tokens: Tokens,
    pub(super) timeout: Duration,
}

/// What Vault answered.
pub(super) struct Reply<T> {
    pub(super) data: T,
    /// Vault's own name of the call.
    pub(super) request_id: Option<String>,
}

/// Before a second try where no answer came, and where Vault wants a pause and does not say how
/// long: a Vault that changes its active node has the next one ready then, or it takes much longer.
const PAUSE: Duration = Duration::from_millis(100);

/// A longer wait is the caller's to decide.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Client {
    pub(super) const fn new(caller: Arc<Caller>, tokens: Tokens, timeout: Duration) -> Self {
        Self { caller, tokens, timeout }
    }

    /// Calls `endpoint`. `operation` is its name in the counters; `batch` goes into the header
    /// that Vault's audit log can show.
    ///
    /// While there is no token, because a login is under way, it waits for one as long as a call may take.
    pub(super) async fn call<E: Endpoint + Clone>(
        &self,
        operation: &'static str,
        endpoint: E,
        batch: Option<BatchId>,
    ) -> Result<Reply<E::Response>, CallError> {
        self.call_until(Instant::now() + self.timeout, operation, endpoint, batch).await
    }

    /// As [`Client::call`], where no token is there by now it says so, and does not wait.
    pub(super) async fn call_now<E: Endpoint + Clone>(
        &self,
        operation: &'static str,
        endpoint: E,
    ) -> Result<Reply<E::Response>, CallError> {
        self.call_until(Instant::now(), operation, endpoint, None).await
    }

    /// Vault has said how long the token lives.
    pub(super) fn note(&self, lease: Lease) {
        self.tokens.note(lease);
    }

    /// Whether Vault says that it is sealed or not initialised.
    pub(super) async fn is_sealed(&self) -> bool {
        let status = self.caller.status("health", Health {}).await;
        status.is_ok_and(|status| matches!(status.as_u16(), 501 | 503))
    }

    /// Waits for a token until `deadline`.
    async fn call_until<E: Endpoint + Clone>(
        &self,
        deadline: Instant,
        operation: &'static str,
        endpoint: E,
        batch: Option<BatchId>,
    ) -> Result<Reply<E::Response>, CallError> {
        let mut token = self.tokens.current(deadline).await?;
        let (mut token_changed, mut paused) = (false, false);
        loop {
            let failure = match self.attempt(operation, endpoint.clone(), &token, batch).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if failure.is_denied()
                && (!token_changed || Instant::now() < deadline)
                && let Some(other) = self.tokens.instead_of(&token, deadline).await?
            {
                (token, token_changed) = (other, true);
                continue;
            }
            match worth_a_pause(&failure) {
                Some(pause) if !paused => {
                    paused = true;
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(failure),
            }
        }
    }

    async fn attempt<E: Endpoint>(
        &self,
        operation: &'static str,
        endpoint: E,
        token: &HeaderValue,
        batch: Option<BatchId>,
    ) -> Result<Reply<E::Response>, CallError> {
        let mut answer = self.caller.ask(operation, endpoint, With { token: Some(token), batch }).await?;
        let request_id = std::mem::take(&mut answer.request_id);
        Ok(Reply { data: data(answer)?, request_id: Some(request_id).filter(|id| !id.is_empty()) })
    }
}

/// How long to wait before the one second try, where one makes sense.
fn worth_a_pause(failure: &CallError) -> Option<Duration> {
    match failure {
        CallError::Unreachable { at_once: true, .. } | CallError::Lost(_) => Some(PAUSE),
        // 412: the node has not yet seen what another one has, and will in a moment. 429: a quota, whose rate is by
        // the second where Vault does not say more.
        CallError::Status {
            status: StatusCode::PRECONDITION_FAILED | StatusCode::TOO_MANY_REQUESTS,
            retry_after,
            ..
        } => Some(retry_after.unwrap_or(PAUSE)).filter(|pause| *pause <= LONGEST_PAUSE),
        CallError::Token(_)
        | CallError::LoggedOut
        | CallError::Unreachable { .. }
        | CallError::Timeout
        | CallError::Redirected { .. }
        | CallError::Status { .. }
        | CallError::Protocol(_) => None,
    }
}
