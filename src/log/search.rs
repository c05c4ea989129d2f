//! Questions to the log.

use async_trait::async_trait;

use super::GroupCommitLog;
use crate::ports::{
    CountQuery, Counts, EntryPage, EntryQuery, LogError, LogSearch, SearchProgress, SignaturePage,
    SignatureQuery,
};

#[async_trait]
impl LogSearch for GroupCommitLog {
    async fn entries(&self, query: EntryQuery) -> Result<EntryPage, LogError> {
        self.read(&self.queries, move |reader| reader.query(&query)).await
    }

    async fn signatures(&self, query: SignatureQuery) -> Result<SignaturePage, LogError> {
        self.read(&self.queries, move |reader| reader.signatures(&query)).await
    }

    async fn counts(&self, query: CountQuery) -> Result<Counts, LogError> {
        self.read(&self.queries, move |reader| reader.counts(&query)).await
    }

    async fn progress(&self) -> Result<SearchProgress, LogError> {
        self.read(&self.queries, |reader| reader.progress()).await
    }

    fn rebuild(&self) {
        if let Some(bell) = &self.bell {
            bell.rebuild();
        }
    }
}
