//! One signature's story: everything that the log tells of it, what proves it, and where it is now.

use crate::domain::{Content, Entry, EntryFilter, Event, Operation, Reach, Record, SignatureId};
use crate::ports::{EntryQuery, LoggedEntry};
use crate::service::{Caller, Service, ServiceError, SignatureView};

use super::Presence;

/// A signature from its intent to its last look at the registry.
#[derive(Debug, Clone)]
pub struct Story {
    pub record: Record,
    /// The document that was signed, where it can be told from the log.
    pub payload: Option<Content>,
    /// The entries that tell of it, with their indexes, in their order.
    pub entries: Vec<(u64, Entry)>,
    /// Whether these are all: not where the image has more entries than are looked at, or the index is behind.
    pub is_complete: bool,
    pub presence: Presence,
    /// The entry that holds the signature; before there is one, its intent. None where it is archived.
    pub holder: Option<ProvenEntry>,
}

/// An entry in its exact bytes, with what proves that the log holds it.
#[derive(Debug, Clone)]
pub struct ProvenEntry {
    pub logged: LoggedEntry,
    /// As `c2sp.org/tlog-proof@v1`; none where no checkpoint covers it yet.
    pub proof: Option<String>,
}

/// Pages of an image's entries that are looked through for one signature.
const PAGES: usize = 4;

/// Entries that the index may be behind, and that are looked through one by one.
const NEWEST: usize = 512;

impl Service {
    /// The story of one signature, for those who may read of its repository.
    ///
    /// # Errors
    /// [`ServiceError::SignatureNotFound`] where there is none, or it is not for this reader.
    pub async fn story(&self, caller: &Caller, id: SignatureId) -> Result<Story, ServiceError> {
        let asked = [("resource", "signature".to_owned()), ("id", id.to_string())];
        let reach =
            self.permit_reading(caller, asked.map(|(name, value)| (name.to_owned(), value)).into())?;
        let record = self.log.record(id).await?;
        let record = record.filter(|record| reach.sees(record.subject.repository.as_ref()));
        let record = record.ok_or(ServiceError::SignatureNotFound(id))?;
        let (entries, is_complete) = self.entries_of(&record, &reach).await?;
        let record = self.shown(record).await?;
        let events: Vec<&Event> = entries.iter().map(|(_, entry)| &entry.event).collect();
        let (presence, holder) = tokio::join!(self.presence(&record, &events), self.proven(record.index));
        let payload = SignatureView::of(record.clone()).payload;
        Ok(Story { record, payload, entries, is_complete, presence, holder: holder? })
    }

    /// Whether there is such a signature that the caller may read of. Asked before it is shown, so not logged.
    ///
    /// # Errors
    /// Where the log can not be read.
    pub async fn is_readable(&self, caller: &Caller, id: SignatureId) -> Result<bool, ServiceError> {
        let (_, reach) = self.reach(&self.question(caller, Operation::LogRead));
        let record = self.log.record(id).await?;
        Ok(record.is_some_and(|record| reach.sees(record.subject.repository.as_ref())))
    }

    /// One entry with its proof, for those who may read it. None where the log is not that long.
    ///
    /// # Errors
    /// As [`Service::log_entry`].
    pub async fn proven_entry(
        &self,
        caller: &Caller,
        index: u64,
    ) -> Result<Option<ProvenEntry>, ServiceError> {
        let Some(logged) = self.log_entry(caller, index).await? else { return Ok(None) };
        let proof = self.transparency.proof(index).await?;
        Ok(Some(ProvenEntry { logged, proof }))
    }

    async fn proven(&self, index: u64) -> Result<Option<ProvenEntry>, ServiceError> {
        let Some(logged) = self.log.entry(index).await? else { return Ok(None) };
        let proof = self.transparency.proof(index).await?;
        Ok(Some(ProvenEntry { logged, proof }))
    }

    /// The entries that speak of the record's signature, and whether these are all.
    async fn entries_of(
        &self,
        record: &Record,
        reach: &Reach,
    ) -> Result<(Vec<(u64, Entry)>, bool), ServiceError> {
        let id = record.signing.id;
        let filter = EntryFilter {
            digest: Some(record.subject.digest),
            key: Some(record.signing.key.name.to_string()),
            ..EntryFilter::default()
        };
        let mut query = EntryQuery { filter, limit: EntryQuery::MAX_LIMIT, ..EntryQuery::default() };
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let page = self.search.entries(query.clone(), reach.clone()).await?;
            for logged in page.entries {
                let entry = logged.entry()?;
                if entry.signing().is_some_and(|signing| signing.id == id) {
                    found.push((logged.index, entry));
                }
            }
            let Some(next) = page.next else {
                let end = self.add_newest(page.progress.indexed, id, &mut found).await?;
                return Ok((found, end >= page.progress.log_size));
            };
            (query.after, query.size) = (next.checked_sub(1), Some(page.size));
        }
        Ok((found, false))
    }

    /// Adds what the newest entries tell of the signature, which the index does not have yet, and says up to where.
    async fn add_newest(
        &self,
        first: u64,
        id: SignatureId,
        found: &mut Vec<(u64, Entry)>,
    ) -> Result<u64, ServiceError> {
        let newest = self.ranges.range(first, NEWEST).await?;
        let end = first + newest.len() as u64;
        for logged in newest {
            // What this version can not read speaks of no signature that it knows.
            if let Ok(entry) = logged.entry()
                && entry.signing().is_some_and(|signing| signing.id == id)
            {
                found.push((logged.index, entry));
            }
        }
        Ok(end)
    }
}
