//! What a database keeps of a caller's key, whatever the database.

use crate::domain::Digest;
use crate::ports::{KeptAnswer, LogError, Recalled};

/// A key that is bound.
pub(super) struct IdempotencyRow {
    /// The raw digest of the request that the key stands for.
    pub(super) request: Vec<u8>,
    pub(super) answer: Option<KeptAnswer>,
}

impl IdempotencyRow {
    /// What `request` gets to know.
    pub(super) fn recalled(&self, request: Digest) -> Recalled {
        if self.request != request.as_bytes() {
            return Recalled::Conflict;
        }
        self.answer.clone().map_or(Recalled::Unanswered, Recalled::Answered)
    }
}

/// The answer of a row; none where it has none yet.
///
/// # Errors
/// Where the status is none.
pub(super) fn answer(
    status: Option<i64>,
    body: Option<Vec<u8>>,
    location: Option<String>,
) -> Result<Option<KeptAnswer>, LogError> {
    let (Some(status), Some(body)) = (status, body) else { return Ok(None) };
    let status =
        u16::try_from(status).map_err(|_| LogError(format!("{status} is no status of an answer")))?;
    Ok(Some(KeptAnswer { status, body, location }))
}
