//! Questions to the log.

use async_trait::async_trait;

use super::GroupCommitLog;
use crate::domain::Reach;
use crate::ports::{
    CountQuery, Counts, EntryPage, EntryQuery, LogError, LogSearch, SearchProgress, SignaturePage,
    SignatureQuery,
};

#[async_trait]
impl LogSearch for GroupCommitLog {
    async fn entries(&self, query: EntryQuery, reach: Reach) -> Result<EntryPage, LogError> {
        self.read(&self.queries, move |reader| reader.query(&query, &reach)).await
    }

    async fn signatures(&self, query: SignatureQuery, reach: Reach) -> Result<SignaturePage, LogError> {
        self.read(&self.queries, move |reader| reader.signatures(&query, &reach)).await
    }

    async fn counts(&self, query: CountQuery, reach: Reach) -> Result<Counts, LogError> {
        self.read(&self.queries, move |reader| reader.counts(&query, &reach)).await
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
