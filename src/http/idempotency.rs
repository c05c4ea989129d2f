//! `Idempotency-Key`: the same request again gets the same answer.
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::ApiState;
use super::problem::Problem;
use crate::domain::Digest;
use crate::ports::{IdempotencyId, KeptAnswer, Recalled};
use crate::service::{Caller, ServiceError};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells a repeated answer from a first one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The caller's key, where one was sent.
pub struct IdempotencyKey(Option<String>);

/// A whole answer, of a kind that can be kept.
#[derive(Debug, Clone)]
pub struct Answer {
    kept: KeptAnswer,
    replayed: bool,
}

impl IdempotencyKey {
    /// Bytes of a key.
    const MAX: usize = 255;

    fn fits(key: &str) -> bool {
        (1..=Self::MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Answers `request`, of this digest, with what `operation` says, or with what was said the first time.
    ///
    /// Only answers of success are kept. What failed is tried again with the same key; what was signed before the failure
    /// is found, and not signed again. Two at once with one key are both worked on, and both get the answer of whoever
    /// is ready first: they find the same signature.
    ///
    /// An answer is given again to whom it `may` be given: jobs of one name need not be allowed the same, and a
    /// policy changes. Who may not have it is answered by the operation itself.
    ///
    /// # Errors
    /// `idempotency-conflict` where the key stands for another request.
    pub async fn answer<R, F>(
        self,
        state: &ApiState,
        caller: &Caller,
        digest: Digest,
        request: R,
        may: impl FnOnce(&R) -> bool,
        operation: impl FnOnce(R) -> F,
    ) -> Result<Answer, Problem>
    where
        F: Future<Output = Result<Answer, Problem>>,
    {
        let Some(key) = self.0 else { return operation(request).await };
        let (admission, principal) = (&state.admission, &caller.principal);
        let id = IdempotencyId { principal: principal.to_string(), key };
        let unavailable = |error| Problem::from(ServiceError::Log(error));

        let (answers, asked, now) = (state.idempotency.clone(), id.clone(), state.clock.now());
        let recalling = async move { answers.recall(&asked, digest, now).await };
        match admission.run(principal, recalling).await?.map_err(unavailable)? {
            Recalled::New | Recalled::Unanswered => {}
            Recalled::Answered(kept) if may(&request) => return Ok(Answer { kept, replayed: true }),
            Recalled::Answered(_) => return operation(request).await,
            Recalled::Conflict => return Err(Problem::idempotency_conflict()),
        }
        let answer = operation(request).await?;
        let (answers, made) = (state.idempotency.clone(), answer.kept.clone());
        let keeping = async move { answers.keep(&id, made).await };
        let kept = admission.run(principal, keeping).await?.map_err(unavailable)?;
        let replayed = kept != answer.kept;
        Ok(Answer { kept, replayed })
    }
}

/// How long an answer is kept.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer with a signature, its bundle and its proof is about so long.
const USUAL_BYTES: usize = 4096;

impl Answer {
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut bytes, body).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            Problem::internal()
        })?;
        let kept = KeptAnswer { status: status.as_u16(), body: bytes, location: None };
        Ok(Self { kept, replayed: false })
    }

    pub fn at(mut self, location: String) -> Self {
        self.kept.location = Some(location);
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let KeptAnswer { status, body, location } = self.kept;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(LOCATION, location);
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl FromRequestParts<ApiState> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(&HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => match value.to_str() {
                Ok(key) if Self::fits(key) => Ok(Self(Some(key.to_owned()))),
                _ => Err(Problem::invalid(format!(
                    "`Idempotency-Key` has 1 to {} visible ASCII characters. Send a UUID, another one for each request.",
                    Self::MAX
                ))),
            },
            (Some(_), Some(_)) => {
                Err(Problem::invalid("There are several `Idempotency-Key` headers. Send one."))
            }
        }
    }
}
