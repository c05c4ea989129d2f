//! What the registry refuses, as statuses and the [error codes] of the specification.
//!
//! [error codes]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes

use std::io;

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::layout::MANIFEST_LIMIT;
use super::names::Digest;
use crate::dev::body::BodyError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no such endpoint")]
    NoSuchEndpoint,
    #[error("the method is not supported for this resource")]
    MethodUnsupported,
    #[error("invalid repository name")]
    NameInvalid,
    #[error("repository name not known to registry")]
    NameUnknown,
    #[error("{0}")]
    DigestInvalid(&'static str),
    #[error("blob unknown to registry")]
    BlobUnknown,
    #[error("blob upload unknown to registry")]
    UploadUnknown,
    #[error("the body ended early")]
    UploadInterrupted,
    #[error("the chunk does not start where the upload ends")]
    UploadRange { location: String, range: String },
    #[error("Content-Range is not <first>-<last>")]
    ContentRangeInvalid,
    #[error("provided length did not match content length")]
    SizeInvalid,
    #[error("manifest unknown")]
    ManifestUnknown,
    #[error("manifest invalid: {0}")]
    ManifestInvalid(String),
    #[error("manifest is larger than {MANIFEST_LIMIT} bytes")]
    ManifestTooLarge,
    #[error("manifest references a manifest or blob unknown to registry")]
    ManifestBlobUnknown(Digest),
    #[error("the requested range is outside the blob")]
    RangeNotSatisfiable { size: u64 },
    #[error("n must be a number of tags, zero or more")]
    PageSizeInvalid,
    #[error("the registry's directory cannot be used")]
    Storage(#[from] io::Error),
}

impl Error {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchEndpoint => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Self::MethodUnsupported => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::NameInvalid => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::NameUnknown => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::DigestInvalid(_) => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::BlobUnknown => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::UploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::UploadInterrupted | Self::ContentRangeInvalid => {
                (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID")
            }
            Self::UploadRange { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Self::SizeInvalid => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Self::ManifestUnknown => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::ManifestInvalid(_) => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::ManifestTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID"),
            Self::ManifestBlobUnknown(_) => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            Self::RangeNotSatisfiable { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID"),
            Self::PageSizeInvalid => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            Self::Storage(_) => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::ManifestBlobUnknown(digest) => Some(digest.to_string()),
            Self::Storage(cause) => Some(cause.to_string()),
            _ => None,
        }
    }

    /// Headers that tell the client where to go on.
    fn headers(&self) -> Vec<(HeaderName, String)> {
        match self {
            Self::UploadRange { location, range } => {
                vec![(header::LOCATION, location.clone()), (header::RANGE, range.clone())]
            }
            Self::RangeNotSatisfiable { size } => {
                vec![(header::CONTENT_RANGE, format!("bytes */{size}"))]
            }
            _ => Vec::new(),
        }
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::ManifestTooLarge,
            BodyError::Interrupted => Self::UploadInterrupted,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let body = json!({"errors": [{"code": code, "message": self.to_string(), "detail": self.detail()}]});
        let mut response = (status, Json(body)).into_response();
        for (name, value) in self.headers() {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
