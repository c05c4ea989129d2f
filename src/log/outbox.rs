//! Signatures on their way.

use async_trait::async_trait;

use super::GroupCommitLog;
use super::writer::Request;
use crate::domain::{SignatureId, Timestamp};
use crate::ports::{Delivery, LogError, Outbox, StoreReader, Waiting};

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
        self.read(&self.lookups, move |reader| read_all(reader, &ids)).await
    }

    async fn delivery(&self, id: SignatureId) -> Result<Option<Delivery>, LogError> {
        self.read(&self.lookups, move |reader| reader.delivery(id)).await
    }

    async fn waiting(&self) -> Result<Waiting, LogError> {
        self.read(&self.lookups, |reader| reader.waiting()).await
    }
}

/// The deliveries of these names. What is settled meanwhile needs nobody any more, and one that can not be read
/// does not hold up the others.
fn read_all(reader: &dyn StoreReader, ids: &[SignatureId]) -> Result<Vec<Delivery>, LogError> {
    let (mut read, mut failure) = (Vec::new(), None);
    for id in ids {
        match reader.delivery(*id) {
            Ok(delivery) => read.extend(delivery),
            Err(error) => {
                tracing::error!(%error, signature = %id, "a delivery was taken and can not be read");
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if read.is_empty() => Err(error),
        _ => Ok(read),
    }
}
