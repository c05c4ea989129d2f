//! How often something may be done.

use async_trait::async_trait;

use super::GroupCommitLog;
use super::writer::Request;
use crate::domain::Timestamp;
use crate::ports::{LogError, Quotas, Taken, Taking, Writes};

#[async_trait]
impl Quotas for GroupCommitLog {
    async fn take(&self, taking: Taking) -> Result<Taken, LogError> {
        let takings = vec![taking];
        let mut written = self.write(Writes { takings, ..Writes::default() }).await?;
        written.taken.pop().ok_or_else(|| LogError("the store gave no answer".to_owned()))
    }

    async fn forget_uses(&self, before: Timestamp) -> Result<u64, LogError> {
        self.ask_until_none(|answer| Request::ForgetUses { before, answer }).await
    }
}
