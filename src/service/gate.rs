//! Nothing leaves before it can be proven.

use crate::domain::{Record, State};
use crate::ports::{LogError, Transparency};

use super::{Service, ServiceError};

/// [`Service::covered`], without a service.
pub(super) async fn covered(transparency: &dyn Transparency, index: u64) -> Result<(), LogError> {
    let covered = transparency.covered(index).await;
    covered.inspect_err(|error| {
        tracing::error!(%error, index, "a signature is kept back, because no checkpoint covers its entry");
    })
}

impl Service {
    /// Waits until what the log has at `index` can be proven to whoever holds a checkpoint of it. A signature whose outcome
    /// is there may leave then: in an answer, or to a registry.
    ///
    /// # Errors
    /// Where that takes too long. The outcome is durable, and so is the delivery, which is made once it can be proven.
    pub(super) async fn covered(&self, index: u64) -> Result<(), ServiceError> {
        Ok(covered(self.transparency.as_ref(), index).await?)
    }

    /// The proof that the record is in the log; none where no checkpoint covers it yet, and where it can not be made: it can
    /// be asked for later, and the answer does not wait for it.
    pub(super) async fn proof(&self, record: &Record) -> Option<String> {
        let proof = self.transparency.proof(record.index).await;
        proof.unwrap_or_else(|error| {
            tracing::warn!(%error, index = record.index, "an answer has no proof");
            None
        })
    }

    /// The record without what may not leave yet. What is attached has left already.
    pub(super) async fn shown(&self, mut record: Record) -> Result<Record, ServiceError> {
        if record.signature().is_some() && record.attachment().is_none() {
            let checkpoint = self.transparency.checkpoint().await?;
            if checkpoint.is_none_or(|checkpoint| checkpoint.head.size <= record.index) {
                record.state = State::Pending;
            }
            return Ok(record);
        }
        Ok(record.read_at(self.clock.now(), self.longest_request))
    }
}
