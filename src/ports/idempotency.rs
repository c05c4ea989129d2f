use async_trait::async_trait;

use super::LogError;
use crate::domain::{Digest, Timestamp};

/// A caller's `Idempotency-Key`. The same key of another principal is another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyId {
    /// [`crate::domain::Principal`] as it is displayed.
    pub principal: String,
    /// The caller's key: 1 to 255 visible ASCII characters.
    pub key: String,
}

/// The answer that a request got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub body: Vec<u8>,
    /// The value of the header `Location`, where there was one.
    pub location: Option<String>,
}

/// What is known of an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recalled {
    /// Not used before. It now stands for this request.
    New,
    /// Used for the same request, which has no answer yet: it is under way, has failed, or was cut off.
    Unanswered,
    /// Used for the same request, which got this answer.
    Answered(KeptAnswer),
    /// Used for another request.
    Conflict,
}

/// Which requests were answered how, by the callers' own keys. What is forgotten after a while is
/// only the answer: the same request again still finds the signature that was made.
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// Binds `id` to the request of this digest, unless it is bound already.
    async fn recall(&self, id: &IdempotencyId, request: Digest, now: Timestamp)
    -> Result<Recalled, LogError>;

    /// Keeps the answer of `id`'s request, and returns the one that is kept: the first.
    async fn keep(&self, id: &IdempotencyId, answer: KeptAnswer) -> Result<KeptAnswer, LogError>;

    /// Forgets what was first used before `before`; returns how much that was.
    async fn forget(&self, before: Timestamp) -> Result<u64, LogError>;
}
