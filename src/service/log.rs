//! What auditors ask.

use std::collections::BTreeMap;

use crate::domain::{Entry, Event, Operation};
use crate::ports::{
    CountQuery, Counts, EntryPage, EntryQuery, LoggedEntry, SignaturePage, SignatureQuery, SignatureState,
};

use super::{Caller, Service, ServiceError};

/// A page of signatures, and when it was made.
#[derive(Debug, Clone)]
pub struct SignatureList {
    pub page: SignaturePage,
    /// Intents without an outcome from before this moment will have none.
    pub indeterminate_before: crate::domain::Timestamp,
}

/// States that callers can ask for beyond those of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFilter {
    Is(SignatureState),
    /// Pending, and it will have no outcome any more.
    Indeterminate,
}

impl Service {
    /// A page of the log's entries, for those who may read it.
    pub async fn log_entries(&self, caller: &Caller, query: EntryQuery) -> Result<EntryPage, ServiceError> {
        let mut asked = query.filter.words();
        let pages = [("after", query.after), ("size", query.size)];
        asked.extend(
            pages.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.to_string()))),
        );
        self.permit_reading(caller, asked)?;
        Ok(self.search.entries(query).await?)
    }

    /// A page of signatures, in the state that `state` names, if any.
    pub async fn log_signatures(
        &self,
        caller: &Caller,
        asked: BTreeMap<String, String>,
        mut query: SignatureQuery,
        state: Option<StateFilter>,
    ) -> Result<SignatureList, ServiceError> {
        self.permit_reading(caller, asked)?;
        let now = self.clock.now();
        let indeterminate_before = now.checked_sub(self.longest_request).unwrap_or(now);
        let filter = &mut query.filter;
        match state {
            None => {}
            Some(StateFilter::Is(SignatureState::Pending)) => {
                filter.state = Some(SignatureState::Pending);
                filter.from = filter.from.max(Some(indeterminate_before));
            }
            Some(StateFilter::Is(state)) => filter.state = Some(state),
            Some(StateFilter::Indeterminate) => {
                filter.state = Some(SignatureState::Pending);
                filter.to = Some(filter.to.map_or(indeterminate_before, |to| to.min(indeterminate_before)));
            }
        }
        let page = self.search.signatures(query).await?;
        Ok(SignatureList { page, indeterminate_before })
    }

    /// How many entries there are of what.
    pub async fn log_counts(
        &self,
        caller: &Caller,
        asked: BTreeMap<String, String>,
        query: CountQuery,
    ) -> Result<Counts, ServiceError> {
        self.permit_reading(caller, asked)?;
        Ok(self.search.counts(query).await?)
    }

    /// One entry, for those who may read the log. `None` where the log is not that long.
    ///
    /// # Errors
    /// [`ServiceError::Archived`] where it is in a file, and no longer in the store.
    pub async fn log_entry(&self, caller: &Caller, index: u64) -> Result<Option<LoggedEntry>, ServiceError> {
        self.permit_reading(caller, [("index".to_owned(), index.to_string())].into())?;
        let entry = self.log.entry(index).await?;
        if entry.is_none() {
            let below = self.ranges.extent().await?.first;
            if index < below {
                return Err(ServiceError::Archived { below });
            }
        }
        Ok(entry)
    }

    /// Lets those read who may, and has it logged. `asked` is the question, by name and value: pages of the same
    /// question are told apart by what [`super::Repeats`] takes for a page alone.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] where policy denies, which is logged.
    pub(super) fn permit_reading(
        &self,
        caller: &Caller,
        asked: BTreeMap<String, String>,
    ) -> Result<(), ServiceError> {
        let question = self.question(caller, Operation::LogRead);
        let decision = self.permit(caller, &question)?;
        let event = Event::read(shortened(asked));
        let (id, who) = (caller.request_id.clone(), &caller.principal);
        self.was_read(Entry::new(question.now, id, who, Operation::LogRead, None, decision.ruling, event));
        Ok(())
    }
}

/// Characters of one value of a question that an entry keeps.
const VALUE: usize = 512;

/// The question, small enough for an entry.
pub(super) fn shortened(asked: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shorten = |value: String| match value.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    };
    asked.into_iter().map(|(name, value)| (name, shorten(value))).collect()
}
