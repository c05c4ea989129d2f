//! The only place that turns errors into HTTP.

use std::any::Any;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::RequestId;
use crate::input::{self, InputError};
use crate::ports::RegistryError;
use crate::service::ServiceError;

/// What a caller is told when it did not work. Becomes a body in [`Problem::render`], which knows the request's id.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after: Option<Duration>,
}

/// `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemBody {
    /// `urn:signet:problem:` and the code.
    #[schema(example = "urn:signet:problem:digest-required")]
    r#type: String,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// What is wrong and what to do.
    detail: String,
    /// Stable; programs may rely on it.
    #[schema(example = "digest-required")]
    code: &'static str,
    request_id: String,
}

impl Problem {
    pub fn unauthenticated() -> Self {
        let detail = "Show a valid token, `Authorization: Bearer <token>`, or connect with a client certificate that Signet knows.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail.to_owned())
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", detail.into())
    }

    /// For what a caller wrote, and what could not be read.
    pub fn unreadable(error: &InputError) -> Self {
        let (path, message) = (error.path(), error.message());
        Self::invalid(match (path.as_str(), error.problem()) {
            ("", _) => format!("The request can not be read: {message}."),
            (path, input::Problem::Missing) => format!("`{path}` is missing. `/docs` shows what it is."),
            (path, _) => format!("`{path}`: {message}."),
        })
    }

    pub fn unknown_format(name: &str) -> Self {
        let name: String = name.chars().take(40).flat_map(char::escape_debug).collect();
        let detail = format!("There is no format `{name}`. The formats are `cosign` and `bundle`.");
        Self::new(StatusCode::BAD_REQUEST, "format-unsupported", detail)
    }

    pub fn too_large(limit: usize) -> Self {
        let detail = format!("The body has more than {limit} bytes. Send less in one request.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", detail)
    }

    pub fn unfinished_body() -> Self {
        Self::invalid("The body could not be read to its end. Send it again.")
    }

    pub fn slow_body(after: Duration) -> Self {
        let detail = format!("The body did not arrive within {after:?}. Send it again, whole.");
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
    }

    pub fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail.to_owned())
    }

    pub fn method_not_allowed() -> Self {
        let detail = "This method is not possible here. `/docs` shows which are.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail.to_owned())
    }

    pub fn idempotency_conflict() -> Self {
        let detail = "This `Idempotency-Key` was used for another request. Send another key, or the same request again.";
        Self::new(StatusCode::CONFLICT, "idempotency-conflict", detail.to_owned())
    }

    pub fn overloaded() -> Self {
        let detail = "Signet has more to do than it can. Try again later.";
        Self {
            retry_after: Some(Duration::from_secs(2)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail.to_owned())
        }
    }

    pub fn timeout(after: Duration) -> Self {
        let detail = format!(
            "This took longer than {after:?}. Try again: work that has begun goes on, and a signature that was made is found again."
        );
        Self {
            retry_after: Some(Duration::from_secs(2)),
            ..Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail)
        }
    }

    pub fn internal() -> Self {
        let detail = "Signet failed. Its operators find the reason in the log under this request's id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", detail.to_owned())
    }

    /// For [`tower_http::catch_panic`].
    #[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
    pub fn from_panic(panic: Box<dyn Any + Send>) -> Response<Body> {
        let words = panic.downcast_ref::<&str>().map(ToString::to_string);
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(panic = words, "a handler panicked");
        Self::internal().into_response()
    }

    /// For a form that none of our own pages has sent.
    pub fn from_elsewhere() -> Self {
        let detail = "This form was not sent from a page of Signet in this browser, or its session is over. Load the page again, and send it from there.";
        Self::new(StatusCode::FORBIDDEN, "forbidden-form", detail.to_owned())
    }

    /// For whoever opens one session after the other.
    pub fn too_many_logins(retry_after: Duration) -> Self {
        let detail = "You have logged in too often within an hour. Use a session that is open, or wait as long as `Retry-After` says.";
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", detail.to_owned())
        }
    }

    pub fn provider_unavailable() -> Self {
        let detail = "The provider at which people log in can not be reached. Try again, or paste a token.";
        Self {
            retry_after: Some(Duration::from_secs(5)),
            ..Self::new(StatusCode::BAD_GATEWAY, "login-unavailable", detail.to_owned())
        }
    }

    /// What is wrong and what to do.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// Whole seconds after which it may help to try again.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let after = self.retry_after?;
        Some((after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1))
    }

    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem with the request's id, to stand in a body.
    pub fn body(&self, request_id: &RequestId) -> ProblemBody {
        ProblemBody {
            r#type: format!("urn:signet:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            request_id: request_id.to_string(),
        }
    }

    /// The problem as a whole answer.
    pub fn render(&self, request_id: &RequestId) -> Response<Body> {
        let body = serde_json::to_vec(&self.body(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"signet\""));
        }
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn new(status: StatusCode, code: &'static str, detail: String) -> Self {
        Self { status, code, detail, retry_after: None }
    }
}

impl IntoResponse for Problem {
    /// An empty answer that carries the problem to [`super::observe`], where the request's id is known.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let status = match &error {
            // The two that share a code with errors of another kind.
            ServiceError::KeyVersionUnavailable { usable: None, .. } => StatusCode::NOT_FOUND,
            ServiceError::Registry(RegistryError::TooManyRequests { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            error => status_of(error.code()),
        };
        if status.is_server_error() {
            tracing::warn!(%error, code = error.code(), "an operation failed");
        }
        Self { status, code: error.code(), detail: error.detail(), retry_after: error.retry_after() }
    }
}

fn status_of(code: &str) -> StatusCode {
    match code {
        "invalid-request" | "digest-required" | "format-unsupported" | "digest-unsupported-for-key" => {
            StatusCode::BAD_REQUEST
        }
        "forbidden" => StatusCode::FORBIDDEN,
        "rate-limited" => StatusCode::TOO_MANY_REQUESTS,
        "image-not-found" | "key-not-found" | "signature-not-found" => StatusCode::NOT_FOUND,
        "key-version-unavailable" | "layout-conflict" | "tag-protected" | "too-many-signatures" => {
            StatusCode::CONFLICT
        }
        "archived" => StatusCode::GONE,
        "payload-too-large" => StatusCode::PAYLOAD_TOO_LARGE,
        "vault-unavailable" | "vault-sealed" | "log-unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        "vault-denied" | "registry-unavailable" | "registry-denied" => StatusCode::BAD_GATEWAY,
        "timeout" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
