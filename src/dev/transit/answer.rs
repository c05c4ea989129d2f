//! Answers and refusals in Vault's [form].
//!
//! [form]: https://developer.hashicorp.com/vault/api-docs#error-response

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// What a call that succeeds gives.
pub(super) enum Answer {
    /// 200 with the envelope.
    Body(Box<Envelope>),
    /// 204.
    Nothing,
}

/// The fields that every answer with a body has; those that no call here uses are null, false or zero as in Vault.
#[derive(Serialize)]
pub(super) struct Envelope {
    request_id: String,
    lease_id: &'static str,
    renewable: bool,
    lease_duration: u64,
    data: Option<Value>,
    wrap_info: Option<Value>,
    warnings: Option<Vec<String>>,
    auth: Option<Value>,
    mount_type: &'static str,
}

impl Answer {
    pub(super) fn data(mount_type: &'static str, data: Value, warnings: Vec<String>) -> Self {
        Self::Body(Box::new(Envelope { data: Some(data), ..Envelope::new(mount_type, warnings) }))
    }

    /// The answer of a login or of a call that makes a token.
    pub(super) fn auth(mount_type: &'static str, auth: Value, warnings: Vec<String>) -> Self {
        Self::Body(Box::new(Envelope { auth: Some(auth), ..Envelope::new(mount_type, warnings) }))
    }
}

impl Envelope {
    fn new(mount_type: &'static str, warnings: Vec<String>) -> Self {
        Self {
            request_id: Uuid::new_v4().to_string(),
            lease_id: "",
            renewable: false,
            lease_duration: 0,
            data: None,
            wrap_info: None,
            warnings: (!warnings.is_empty()).then_some(warnings),
            auth: None,
            mount_type,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Body(envelope) => Json(envelope).into_response(),
            Self::Nothing => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

/// What a call that fails gives. Several faults of the caller are 500 in Vault, so they are here.
#[derive(Debug)]
pub(super) enum Refusal {
    /// 400: the engine says what is wrong with the request.
    Invalid(String),
    /// 500: the engine could not do it.
    Failed(String),
    /// 500: the body is not JSON, or beyond the limits on JSON.
    Malformed(String),
    TooLarge,
    NoToken,
    UnknownToken,
    NotAllowed,
    NotFound,
    UnsupportedPath,
    UnsupportedOperation,
    /// 405 as the `sys/` endpoints outside any engine say it.
    MethodNotAllowed,
    NoRoute(String),
    Sealed,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Failed(_) | Self::Malformed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoToken | Self::UnknownToken | Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnsupportedPath | Self::NoRoute(_) => StatusCode::NOT_FOUND,
            Self::UnsupportedOperation | Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Sealed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn errors(self) -> Vec<String> {
        match self {
            Self::Invalid(reason) | Self::Malformed(reason) => vec![reason],
            Self::Failed(reason) => vec![listed(&[&reason])],
            Self::TooLarge => vec!["http: request body too large".to_owned()],
            Self::NoToken => vec!["permission denied".to_owned()],
            Self::UnknownToken => vec![listed(&["permission denied", "invalid token"])],
            Self::NotAllowed => vec![listed(&["permission denied"])],
            Self::NotFound | Self::MethodNotAllowed => Vec::new(),
            Self::UnsupportedPath => vec![listed(&["unsupported path"])],
            Self::UnsupportedOperation => vec![listed(&["unsupported operation"])],
            Self::NoRoute(path) => {
                vec![format!("no handler for route \"{path}\". route entry not found.")]
            }
            Self::Sealed => vec!["Vault is sealed".to_owned()],
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({"errors": self.errors()}))).into_response()
    }
}

/// How Vault prints errors that it gathered.
fn listed(errors: &[&str]) -> String {
    let count = errors.len();
    let noun = if count == 1 { "error" } else { "errors" };
    let lines: String = errors.iter().map(|error| format!("\t* {error}\n")).collect();
    format!("{count} {noun} occurred:\n{lines}\n")
}
