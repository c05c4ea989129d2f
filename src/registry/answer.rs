//! What a registry answered, and what its status means.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{Host, one_line};
use super::retry::parse_retry_after;
use crate::ports::RegistryError;

/// A whole answer; its body has been read within the limits of the call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// The body of a refusal.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>
#[derive(Debug, Default, Deserialize)]
struct Problems {
    errors: Vec<Problem>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
    /// Whatever the registry wants to say.
    #[serde(default)]
    detail: Option<Box<RawValue>>,
}

impl Answer {
    /// The error that this answer is whatever was asked: `None` for success, for a redirect, and
    /// for those 4xx whose meaning depends on the call.
    pub(super) fn refusal(&self, host: &Host) -> Option<RegistryError> {
        let status = self.status;
        if status == StatusCode::TOO_MANY_REQUESTS || !status.is_success() && self.is_throttled() {
            Some(host.too_many_requests(self.retry_after()))
        } else if status.is_server_error() {
            Some(host.unavailable_for(self.summary(), self.retry_after()))
        } else if status == StatusCode::UNAUTHORIZED
            || status == StatusCode::FORBIDDEN
            || status.is_client_error() && (self.has_code("DENIED") || self.has_code("UNAUTHORIZED"))
        {
            Some(host.denied(self.summary()))
        } else {
            None
        }
    }

    /// The error that stands in the body of a success which is not of the kind that was asked for.
    pub(super) fn disguised_refusal(&self, host: &Host) -> Option<RegistryError> {
        self.is_throttled().then(|| host.too_many_requests(self.retry_after()))
    }

    /// Whether this, in answer to a call that puts a manifest at a tag, says that the registry's owner forbids just that:
    /// by a rule that makes tags immutable or protects them. Registries say so with whatever status they like, GitLab's
    /// with 401.
    pub(super) fn protects_tag(&self) -> bool {
        const STATUSES: [StatusCode; 3] =
            [StatusCode::METHOD_NOT_ALLOWED, StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];
        let says_so = |problem: &Problem| {
            let detail = problem.detail.as_ref().map_or("", |detail| detail.get());
            let texts = [problem.code.as_str(), problem.message.as_deref().unwrap_or_default(), detail];
            let texts = texts.map(str::to_ascii_lowercase);
            let speaks_of = |text: &String| {
                text.contains("immutable") || text.contains("protected") && text.contains("tag")
            };
            texts.iter().any(speaks_of)
        };
        self.status.is_client_error()
            && (STATUSES.contains(&self.status)
                || self.has_code("TAG_INVALID")
                || self.has_code("PRECONDITION")
                || self.problems().errors.iter().any(says_so))
    }

    /// Whether this, in answer to a call that puts a manifest, says that the registry does not take manifests of its kind.
    pub(super) fn refuses_manifest(&self) -> bool {
        self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE
            || self.status.is_client_error() && self.has_code("MANIFEST_INVALID")
    }

    /// The error for an answer that does not fit the call.
    pub(super) fn unexpected(&self, host: &Host, call: &str) -> RegistryError {
        host.protocol(format!("to {call} it answered {}", self.summary()))
    }

    /// As [`Answer::unexpected`], for a call that writes: there, some of the 4xx say that the
    /// registry was asked for something that its owner forbids.
    ///
    /// That a digest is not the content's is never true of what is pushed here: the registry
    /// misread, as distribution 2.8 does when others push the same blob at that moment.
    pub(super) fn unexpected_for_write(&self, host: &Host, call: &str) -> RegistryError {
        if self.has_code("DIGEST_INVALID") {
            return host.unavailable(format!("to {call} it answered {}", self.summary()));
        }
        let forbidden =
            [StatusCode::METHOD_NOT_ALLOWED, StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED]
                .contains(&self.status)
                || self.has_code("UNSUPPORTED");
        if forbidden { host.denied(self.summary()) } else { self.unexpected(host, call) }
    }

    /// Whether the body names the error `code`.
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.problems().errors.iter().any(|problem| problem.code.eq_ignore_ascii_case(code))
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Type` without its parameters.
    pub(super) fn media_type(&self) -> Option<&str> {
        let essence = self.header(&CONTENT_TYPE)?.split(';').next().unwrap_or_default().trim();
        let (kind, subtype) = essence.split_once('/')?;
        let valid = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        (valid(kind) && valid(subtype)).then_some(essence)
    }

    fn retry_after(&self) -> Option<Duration> {
        parse_retry_after(self.header(&RETRY_AFTER)?, self.header(&DATE))
    }

    fn is_throttled(&self) -> bool {
        self.has_code("TOOMANYREQUESTS")
    }

    /// The status, and what the body says of it.
    pub(super) fn summary(&self) -> String {
        let mut text = format!("status {}", self.status.as_u16());
        if let Some(problem) = self.problems().errors.first() {
            text.push_str(&format!(", {}", one_line(&problem.code)));
            if let Some(message) = &problem.message {
                text.push_str(&format!(": {}", one_line(message)));
            }
        }
        text
    }

    fn problems(&self) -> Problems {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
