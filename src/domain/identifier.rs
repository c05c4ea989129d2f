//! Names that we give to signatures, groups and requests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Timestamp;

/// One signature, from its intent to its last look at the registry. A UUIDv7 (RFC 9562).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignatureId(Uuid);

/// One signing call to Vault, which may cover many signatures. A UUIDv7, sent in the request
/// header `X-Signet-Batch-Id`, so that Vault's audit log can be joined with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(Uuid);

/// One HTTP request: the caller's `X-Request-Id` or one of ours. 1 to 128 characters out of
/// `A-Za-z0-9._-`, so that it can stand in logs and headers as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(String);

impl RequestId {
    /// `text` as a request id, or `None` where it has characters or a length that we do not carry on.
    pub fn from_caller(text: &str) -> Option<Self> {
        let fits = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        fits.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SignatureId {
    /// What [`SignatureId::as_bytes`] gave.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes of the UUID.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// Where identifiers come from. Tests own theirs.
pub trait IdSource: Send + Sync {
    fn signature_id(&self, now: Timestamp) -> SignatureId;
    fn batch_id(&self, now: Timestamp) -> BatchId;
    fn request_id(&self) -> RequestId;
}

/// Identifiers from the operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn signature_id(&self, now: Timestamp) -> SignatureId {
        SignatureId(uuid_v7(now))
    }

    fn batch_id(&self, now: Timestamp) -> BatchId {
        BatchId(uuid_v7(now))
    }

    fn request_id(&self) -> RequestId {
        RequestId(Uuid::new_v4().to_string())
    }
}

/// Ordered by time, so that rows that belong together lie together in a store.
fn uuid_v7(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

impl FromStr for SignatureId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::from_str(text).map(Self)
    }
}

impl fmt::Display for SignatureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_that_could_break_a_log_line_or_a_header_is_not_taken() {
        assert!(RequestId::from_caller("job-4711.retry_2").is_some());
        for text in ["", "a b", "a\nb", "a\"b", "é", &"a".repeat(129)] {
            assert_eq!(RequestId::from_caller(text), None, "{text:?}");
        }
    }
}
