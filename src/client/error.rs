//! Why there is no answer.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::authorities::UnusableAuthorities;
use crate::causes;

/// What the command line or the environment says of the server can not be used. The sentences are for people.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SetupError {
    #[error(
        "the server's URL is written as in `https://signet.example.com`, without user, password or query"
    )]
    Url,
    #[error(
        "the token would travel in the clear: use `https://`, or say `--allow-plain-http` where the network is yours alone"
    )]
    PlainHttp,
    #[error("the token is empty, or has characters that no token has")]
    Token,
    #[error("the CA file {0}")]
    CaFile(#[from] UnusableAuthorities),
    #[error("the client certificate {file}: {reason}")]
    Certificate { file: String, reason: String },
    #[error("a client certificate can be shown over TLS alone: use `https://`")]
    CertificateWithoutTls,
    #[error("TLS can not be set up: {0}")]
    Tls(String),
}

/// A problem (RFC 9457) that the server answered with.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    /// Stable.
    pub code: String,
    /// What is wrong and what to do.
    pub detail: String,
    /// As it came.
    pub body: Value,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The server said no, and says it again whoever waits.
    #[error("{refusal}")]
    Refused { refusal: Refusal },
    /// The server could not do it now.
    #[error("{refusal}")]
    Failed { refusal: Refusal, retry_after: Option<Duration> },
    /// There was no answer, or none of Signet. `may_pass`: another attempt may find one.
    #[error("{words}")]
    Unreachable { words: String, may_pass: bool },
}

impl Refusal {
    /// Reads a problem; `None` for any other body.
    pub fn parse(status: u16, body: &Value) -> Option<Self> {
        let text = |name: &str| Some(body.get(name)?.as_str()?.to_owned());
        Some(Self { status, code: text("code")?, detail: text("detail")?, body: body.clone() })
    }

    /// Whether the same request may succeed later.
    pub const fn may_pass(status: u16) -> bool {
        matches!(status, 429 | 502 | 503 | 504)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.body.get("request_id").and_then(Value::as_str).unwrap_or("none");
        write!(f, "{} ({}, request {})", self.detail, self.code, one_line(id))
    }
}

impl ClientError {
    pub(super) fn of(url: &Url, error: reqwest::Error) -> Self {
        let may_pass = !error.is_builder() && !is_about_trust(&error);
        Self::Unreachable { words: format!("{} can not be reached: {}", place(url), causes(error)), may_pass }
    }

    pub(super) fn no_answer(url: &Url) -> Self {
        Self::Unreachable { words: format!("{} did not answer in time", place(url)), may_pass: false }
    }

    /// For an answer that Signet does not give.
    pub(super) fn not_signet(url: &Url, status: u16) -> Self {
        let words = format!("{} answered {status}, as Signet does not; check the URL", place(url));
        Self::Unreachable { words, may_pass: Refusal::may_pass(status) }
    }

    /// Whether another attempt may do better.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Refused { .. } => false,
            Self::Failed { refusal, .. } => Refusal::may_pass(refusal.status),
            Self::Unreachable { may_pass, .. } => *may_pass,
        }
    }

    /// What the server asked to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed { retry_after, .. } => *retry_after,
            Self::Refused { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// The problem that the server answered with; none where it is not from Signet.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal } | Self::Failed { refusal, .. } => Some(refusal),
            Self::Unreachable { .. } => None,
        }
    }
}

/// Where the server is, as people know it.
fn place(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Certificates do not become better by waiting.
fn is_about_trust(error: &(dyn std::error::Error + 'static)) -> bool {
    // An I/O error does not name the one that it wraps as its source.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| is_about_trust(wrapped))
        || error.source().is_some_and(is_about_trust)
}

fn causes(error: reqwest::Error) -> String {
    one_line(&causes::causes(&error.without_url()))
}

/// `text` from outside, fit for one line of a terminal.
fn one_line(text: &str) -> String {
    text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
