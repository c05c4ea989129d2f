//! Questions to the log.

use async_trait::async_trait;

use super::GroupCommitLog;
use crate::ports::{
    CountQuery, Counts, EntryPage, EntryQuery, LogError, LogSearch, SearchProgress, SignaturePage,
    SignatureQuery, StoreReader,
};

#[async_trait]
impl LogSearch for GroupCommitLog {
    async fn entries(&self, query: EntryQuery) -> Result<EntryPage, LogError> {
        self.search(move |reader| reader.entries(&query)).await
    }

    async fn signatures(&self, query: SignatureQuery) -> Result<SignaturePage, LogError> {
        self.search(move |reader| reader.signatures(&query)).await
    }

    async fn counts(&self, query: CountQuery) -> Result<Counts, LogError> {
        self.search(move |reader| reader.counts(&query)).await
    }

    async fn progress(&self) -> Result<SearchProgress, LogError> {
        self.search(|reader| reader.progress()).await
    }

    fn rebuild(&self) {
        if let Some(bell) = &self.bell {
            bell.rebuild();
        }
    }
}

impl GroupCommitLog {
    async fn search<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn StoreReader) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let answer = self.read(&self.queries, ask).await;
        if answer.is_err()
            && let Some(bell) = &self.bell
        {
            // The index may be damaged, and whoever makes it again may be asleep.
            bell.ring();
        }
        answer
    }
}
