//! What auditors ask.

use crate::domain::Operation;
use crate::ports::{EntryPage, EntryQuery, LoggedEntry};

use super::{Caller, Service, ServiceError};

impl Service {
    /// A page of the log's entries, for those who may read it.
    pub async fn log_entries(&self, caller: &Caller, query: EntryQuery) -> Result<EntryPage, ServiceError> {
        self.permit_reading(caller)?;
        Ok(self.log.query(query).await?)
    }

    /// One entry, for those who may read the log. `None` where the log is not that long.
    pub async fn log_entry(&self, caller: &Caller, index: u64) -> Result<Option<LoggedEntry>, ServiceError> {
        self.permit_reading(caller)?;
        Ok(self.log.entry(index).await?)
    }

    fn permit_reading(&self, caller: &Caller) -> Result<(), ServiceError> {
        self.permit(caller, &self.question(caller, Operation::LogRead)).map(|_| ())
    }
}
