//! What auditors ask.

use std::collections::BTreeMap;

use crate::domain::{Entry, Event, Operation, Reach, Ruling};
use crate::ports::{
    CountQuery, Counts, EntryPage, EntryQuery, LoggedEntry, Order, Question, SignaturePage, SignatureQuery,
    SignatureState,
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
    /// A page of those of the log's entries that the caller may see.
    pub async fn log_entries(&self, caller: &Caller, query: EntryQuery) -> Result<EntryPage, ServiceError> {
        let mut asked = query.filter.words();
        let pages = [("after", query.after), ("before", query.before), ("size", query.size)];
        asked.extend(
            pages.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.to_string()))),
        );
        if query.order == Order::NewestFirst {
            asked.insert("order".to_owned(), "newest".to_owned());
        }
        let reach = self.permit_reading(caller, asked)?;
        Ok(self.search.entries(query, reach).await?)
    }

    /// A page of signatures that the caller may see, in the state that `state` names, if any.
    pub async fn log_signatures(
        &self,
        caller: &Caller,
        asked: BTreeMap<String, String>,
        mut query: SignatureQuery,
        state: Option<StateFilter>,
    ) -> Result<SignatureList, ServiceError> {
        let reach = self.permit_reading(caller, asked)?;
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
        let page = self.search.signatures(query, reach).await?;
        Ok(SignatureList { page, indeterminate_before })
    }

    /// How many entries there are of what, of those that the caller may see.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] where the caller may see a part of the log, and a part is not counted like this.
    pub async fn log_counts(
        &self,
        caller: &Caller,
        asked: BTreeMap<String, String>,
        query: CountQuery,
    ) -> Result<Counts, ServiceError> {
        let reach = self.permit_reading(caller, asked)?;
        if !reach.is_whole() && !query.is_of_repositories() {
            return Err(ServiceError::Invalid(PART_COUNTED.to_owned()));
        }
        Ok(self.search.counts(query, reach).await?)
    }

    /// One entry. `None` where there is none that the caller may see: of one that is out of reach nothing is told, not even that it is
    /// there.
    ///
    /// # Errors
    /// [`ServiceError::Archived`] where it is in a file, and no longer in the store.
    pub async fn log_entry(&self, caller: &Caller, index: u64) -> Result<Option<LoggedEntry>, ServiceError> {
        let reach = self.permit_reading(caller, [("index".to_owned(), index.to_string())].into())?;
        let entry = self.log.entry(index).await?;
        if entry.is_none() {
            let below = self.ranges.extent().await?.first;
            if index < below {
                return Err(ServiceError::Archived { below });
            }
        }
        Ok(entry.filter(|entry| reach.sees_bytes(&entry.bytes)))
    }

    /// Lets those read who may, and has it logged; what they are shown has to be within the reach. `asked` is the question, by name and value: pages of the same
    /// question are told apart by what [`super::Repeats`] takes for a page alone.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] where policy lets the caller read nothing, which is logged.
    pub(super) fn permit_reading(
        &self,
        caller: &Caller,
        asked: BTreeMap<String, String>,
    ) -> Result<Reach, ServiceError> {
        let question = self.question(caller, Operation::LogRead);
        let (decision, reach) = self.permit_some(caller, &question)?;
        self.reads(caller, &question, decision.ruling, asked);
        Ok(reach)
    }

    /// As [`Service::permit_reading`], for what can not be shown in part.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] where policy does not let the caller read the whole log, which is logged.
    pub(super) fn permit_reading_all(
        &self,
        caller: &Caller,
        asked: BTreeMap<String, String>,
    ) -> Result<(), ServiceError> {
        let question = self.question(caller, Operation::LogRead);
        let decision = self.permit(caller, &question)?;
        self.reads(caller, &question, decision.ruling, asked);
        Ok(())
    }

    fn reads(
        &self,
        caller: &Caller,
        question: &Question<'_>,
        ruling: Ruling,
        asked: BTreeMap<String, String>,
    ) {
        let event = Event::read(shortened(asked));
        let (id, who) = (caller.request_id.clone(), &caller.principal);
        self.was_read(Entry::new(question.now, id, who, Operation::LogRead, None, ruling, event));
    }
}

const PART_COUNTED: &str = "You may see entries of some repositories, and those are counted of `repository`, by `repository`, `day`, `month`, `kind` or `decision`. For anything else, search the entries, or ask the people who own the signing policy for a rule that lets you read the whole log.";

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
