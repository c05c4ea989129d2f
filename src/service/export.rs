//! A part of the log, from its first entry to its last.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::log::shortened;
use super::{Caller, Service, ServiceError};
use crate::domain::{Entry, EntryFilter, Event, Operation, Reach};
use crate::format::{csv, ndjson, ocsf};
use crate::ports::{EntryQuery, LogError, LogRange, LogSearch, LoggedEntry, SignedCheckpoint};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    pub form: ExportForm,
    pub filter: EntryFilter,
    /// From this entry on; none for the first that is there.
    pub first: Option<u64>,
    /// Entries below this index: the size of the log of which this is a part. None for the newest.
    pub size: Option<u64>,
}

/// How entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportForm {
    Ndjson,
    Csv,
    Ocsf,
}

/// An export that has begun. It reads on as its chunks are asked for, and holds no more than one of them.
pub struct Export {
    form: ExportForm,
    filter: EntryFilter,
    /// Of whoever asked.
    reach: Reach,
    search: Arc<dyn LogSearch>,
    ranges: Arc<dyn LogRange>,
    /// The range: from its first index to before its end.
    first: u64,
    end: u64,
    checkpoint: Option<Arc<SignedCheckpoint>>,
    next: u64,
    /// Entries that were written.
    count: u64,
    /// What matches is looked for by the search, after so many entries of which none did.
    barren: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was written yet.
    New,
    Running,
    /// Everything was.
    Done,
}

/// Entries that are read at once.
const STEP: usize = 256;

/// Entries of which none matches before the search is asked where the next one is.
const BARREN: usize = 1024;

/// Bytes of a chunk, roughly.
const CHUNK: usize = 64 * 1024;

impl Service {
    /// Begins an export of what the caller may see. It is logged before.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], where there is no such part, and where the log can not be read or written.
    pub async fn export(&self, caller: &Caller, request: ExportRequest) -> Result<Export, ServiceError> {
        let question = self.question(caller, Operation::LogRead);
        let (decision, reach) = self.permit_some(caller, &question)?;
        // In this order: the log has what a checkpoint covers.
        let checkpoint = self.transparency.checkpoint().await?;
        let extent = self.ranges.extent().await?;
        // What a checkpoint covers can be verified.
        let newest = checkpoint.as_ref().map_or(extent.size, |checkpoint| checkpoint.head.size);
        let end = request.size.unwrap_or(newest);
        if end > extent.size {
            return Err(ServiceError::Invalid(format!(
                "The log has {} entries: `size` is at most that.",
                extent.size
            )));
        }
        let first = request.first.unwrap_or(extent.first);
        if first > end {
            return Err(ServiceError::Invalid(format!(
                "Entry {first} is behind the {end} entries that this is about: begin at most at {end}."
            )));
        }
        if first < extent.first {
            return Err(ServiceError::Archived { below: extent.first });
        }
        let mut query = request.filter.words();
        query.extend(asked(&request));
        let event = Event::export(shortened(query), first, end);
        let (id, who) = (caller.request_id.clone(), &caller.principal);
        self.is_exported(Entry::new(question.now, id, who, Operation::LogRead, None, decision.ruling, event))
            .await?;
        Ok(Export {
            form: request.form,
            barren: if reach.is_whole() && request.filter == EntryFilter::default() { 0 } else { BARREN },
            filter: request.filter,
            reach,
            search: self.search.clone(),
            ranges: self.ranges.clone(),
            first,
            end,
            checkpoint: checkpoint.filter(|checkpoint| checkpoint.head.size == end),
            next: first,
            count: 0,
            state: State::New,
        })
    }
}

impl Export {
    /// The first index of the range, and the index behind its last: the size of the log of which it is a part.
    pub const fn range(&self) -> (u64, u64) {
        (self.first, self.end)
    }

    /// The checkpoint of just that size, where there is one.
    pub fn checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_ref().map(|checkpoint| checkpoint.note.as_str())
    }

    /// What comes next, never empty; none behind the last line, which says that nothing is missing.
    ///
    /// # Errors
    /// Where the log can not be read on. What has left already has no last line then.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, LogError> {
        if self.state == State::Done {
            return Ok(None);
        }
        let mut chunk = Vec::new();
        if self.state == State::New {
            self.state = State::Running;
            if self.form == ExportForm::Csv {
                chunk.extend(csv::header());
            }
        }
        while chunk.len() < CHUNK {
            if self.next >= self.end {
                chunk.extend(match self.form {
                    ExportForm::Ndjson | ExportForm::Ocsf => ndjson::end(self.first, self.end, self.count),
                    ExportForm::Csv => csv::end(self.first, self.end, self.count),
                });
                self.state = State::Done;
                break;
            }
            if self.barren >= BARREN {
                self.skip().await?;
                continue;
            }
            self.read(&mut chunk).await?;
        }
        Ok(Some(chunk))
    }

    /// Goes on to the next entry that matches, or as far as the search knows that none does.
    async fn skip(&mut self) -> Result<(), LogError> {
        self.barren = 0;
        let query = EntryQuery {
            filter: self.filter.clone(),
            after: self.next.checked_sub(1),
            size: Some(self.end),
            limit: 1,
            ..EntryQuery::default()
        };
        let page = self.search.entries(query, self.reach.clone()).await?;
        let looked = page.next.unwrap_or(page.size).min(page.progress.indexed);
        let next = page.entries.first().map_or(looked, |entry| entry.index);
        self.next = self.next.max(next).min(self.end);
        Ok(())
    }

    /// Writes those of the next few entries that match.
    async fn read(&mut self, chunk: &mut Vec<u8>) -> Result<(), LogError> {
        let limit = usize::try_from(self.end - self.next).unwrap_or(STEP).min(STEP);
        let entries = self.ranges.range(self.next, limit).await?;
        if entries.is_empty() {
            return Err(LogError(format!("entry {} has been archived meanwhile", self.next)));
        }
        for logged in &entries {
            let LoggedEntry { index, bytes } = logged;
            self.next = index + 1;
            let is_all = self.reach.is_whole() && self.filter == EntryFilter::default();
            if is_all && self.form == ExportForm::Ndjson {
                chunk.extend(ndjson::entry(*index, bytes));
                self.count += 1;
                continue;
            }
            let entry = logged.entry()?;
            if !self.filter.matches(&entry) || !self.reach.sees(entry.repository()) {
                self.barren += 1;
                continue;
            }
            self.barren = 0;
            self.count += 1;
            chunk.extend(match self.form {
                ExportForm::Ndjson => ndjson::entry(*index, bytes),
                ExportForm::Ocsf => ndjson::line(&ocsf::event(*index, &entry, bytes)),
                ExportForm::Csv => csv::entry(*index, &entry, bytes),
            });
        }
        Ok(())
    }
}

/// What is asked for besides the conditions.
fn asked(request: &ExportRequest) -> BTreeMap<String, String> {
    let form = match request.form {
        ExportForm::Ndjson => "ndjson",
        ExportForm::Csv => "csv",
        ExportForm::Ocsf => "ocsf",
    };
    let numbers = [("from_index", request.first), ("size", request.size)];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?.to_string())));
    let words = numbers.chain([("format", form.to_owned())]);
    words.map(|(name, word)| (name.to_owned(), word)).collect()
}
