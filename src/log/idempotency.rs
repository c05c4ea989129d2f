//! Callers' own keys.

use async_trait::async_trait;

use super::GroupCommitLog;
use super::writer::Request;
use crate::domain::{Digest, Timestamp};
use crate::ports::{Binding, Idempotency, IdempotencyId, KeptAnswer, LogError, Recalled, Writes};

#[async_trait]
impl Idempotency for GroupCommitLog {
    async fn recall(
        &self,
        id: &IdempotencyId,
        request: Digest,
        now: Timestamp,
    ) -> Result<Recalled, LogError> {
        let bindings = vec![Binding { id: id.clone(), request, now }];
        let mut written = self.write(Writes { bindings, ..Writes::default() }).await?;
        written.recalled.pop().ok_or_else(unanswered)
    }

    async fn keep(&self, id: &IdempotencyId, answer: KeptAnswer) -> Result<KeptAnswer, LogError> {
        let answers = vec![(id.clone(), answer)];
        let mut written = self.write(Writes { answers, ..Writes::default() }).await?;
        written.kept.pop().ok_or_else(unanswered)
    }

    async fn forget(&self, before: Timestamp) -> Result<u64, LogError> {
        self.ask_until_none(|answer| Request::Forget { before, answer }).await
    }
}

fn unanswered() -> LogError {
    LogError("the store gave no answer".to_owned())
}
