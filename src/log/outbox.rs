//! Signatures on their way.

use async_trait::async_trait;

use super::GroupCommitLog;
use super::writer::Request;
use crate::domain::{SignatureId, Timestamp};
use crate::ports::{Delivery, LogError, Outbox, Waiting};

#[async_trait]
impl Outbox for GroupCommitLog {
    async fn take_due(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, LogError> {
        let ids = self.ask(|answer| Request::TakeDue { now, until, limit, answer }).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // What is settled meanwhile needs nobody any more.
        self.read(&self.lookups, move |reader| {
            ids.into_iter().filter_map(|id| reader.delivery(id).transpose()).collect()
        })
        .await
    }

    async fn delivery(&self, id: SignatureId) -> Result<Option<Delivery>, LogError> {
        self.read(&self.lookups, move |reader| reader.delivery(id)).await
    }

    async fn waiting(&self) -> Result<Waiting, LogError> {
        self.read(&self.lookups, |reader| reader.waiting()).await
    }
}
