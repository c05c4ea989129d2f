//! Questions about signatures.

use std::collections::BTreeMap;

use super::entries::reached;
use super::keys::{self, Dimension, Hashed, Sheets};
use super::planner::{Wanted, candidates};
use super::project::sheet_number;
use super::sheet::{ENTRIES, SIGNATURE, SIGNATURES, SignatureRow, decode, state_code};
use super::{Dictionary, LEAST_ENTRIES, LEAST_SHEETS, Meta, SearchFault, View, beginning, is_archived};
use crate::domain::{Entry, Event, Outcome, Reach};
use crate::ports::{
    EntryQuery, ListedSignature, LoggedEntry, Order, SearchProgress, SignatureFilter, SignaturePage,
    SignatureQuery,
};

/// Signatures of which entries are read at once.
const CHUNK: usize = 50;

/// Signatures of one digest that one page looks at.
const OF_DIGEST: usize = 1500;

/// One page, in the order of the signatures' numbers.
pub(in crate::store) fn page(
    view: &dyn View,
    meta: &Meta,
    dictionary: &Dictionary,
    log_size: u64,
    query: &SignatureQuery,
    reach: &Reach,
) -> Result<SignaturePage, SearchFault> {
    let size = query.size.map_or(meta.indexed, |size| size.min(log_size));
    let limit = query.limit.min(EntryQuery::MAX_LIMIT);
    let search = Search { view, meta, dictionary, filter: &query.filter, reach, size, limit };
    let (rows, next) = match query.filter.digest {
        _ if query.begin >= meta.signatures => (Vec::new(), None),
        Some(digest) => search.by_digest(beginning(digest.as_bytes()), query.begin)?,
        None => search.by_sheet(query.begin)?,
    };
    let (signatures, next) = search.list(&rows, next)?;
    Ok(SignaturePage { signatures, size, next, progress: SearchProgress { log_size, indexed: meta.indexed } })
}

/// The rows of these numbers, which are in their order.
pub(super) fn rows(view: &dyn View, numbers: &[u64]) -> Result<Vec<SignatureRow>, SearchFault> {
    let mut sheets = BTreeMap::new();
    for number in numbers {
        sheets
            .entry(sheet_number(number / SIGNATURES)?)
            .or_insert_with(Vec::new)
            .push((number % SIGNATURES) as usize);
    }
    let keys: Vec<_> = sheets.keys().map(|number| keys::sheet(Sheets::Signatures, *number)).collect();
    let mut rows = Vec::with_capacity(numbers.len());
    for (places, bytes) in sheets.into_values().zip(view.large(&keys)?) {
        let missing = || SearchFault::damaged("a signature is missing");
        let sheet = decode(&bytes.ok_or_else(missing)?)?;
        for place in places {
            rows.push(*sheet.get(place).ok_or_else(missing)?);
        }
    }
    Ok(rows)
}

struct Search<'a> {
    view: &'a dyn View,
    meta: &'a Meta,
    dictionary: &'a Dictionary,
    filter: &'a SignatureFilter,
    reach: &'a Reach,
    size: u64,
    limit: usize,
}

/// Rows with their numbers, and the first number that is for another page.
type Found = (Vec<(u64, SignatureRow)>, Option<u64>);

impl Search<'_> {
    fn by_digest(&self, beginning: u64, begin: u64) -> Result<Found, SearchFault> {
        let range = keys::hashed_range(Hashed::SignatureDigest, beginning, begin, self.meta.signatures);
        let keys = self.view.ranges(&[range], OF_DIGEST, Order::OldestFirst)?.pop().unwrap_or_default();
        let numbers: Vec<_> = keys.iter().map(|(key, _)| keys::last_u64(key)).collect::<Result<_, _>>()?;
        let wanted = self.wanted();
        let mut found = Vec::new();
        for (number, row) in numbers.iter().zip(rows(self.view, &numbers)?) {
            if self.matches(&wanted, &row) {
                if found.len() == self.limit {
                    return Ok((found, Some(*number)));
                }
                found.push((*number, row));
            }
        }
        let next = numbers.last().filter(|_| numbers.len() == OF_DIGEST).map(|last| last + 1);
        Ok((found, next))
    }

    fn by_sheet(&self, begin: u64) -> Result<Found, SearchFault> {
        let wanted = self.wanted();
        if wanted.iter().any(Wanted::is_nothing) {
            return Ok((Vec::new(), None));
        }
        let (first, last) = self.period(begin)?;
        let candidates = candidates(self.view, Sheets::Signatures, &wanted, first..last, Order::OldestFirst)?;
        let (mut found, mut done) = (Vec::new(), 0);
        for some in candidates.groups() {
            if done >= LEAST_SHEETS
                && self.view.is_long()
                && let Some(sheet) = candidates.behind(done)
            {
                return Ok((found, Some(u64::from(sheet) * SIGNATURES)));
            }
            done += some.len();
            let keys: Vec<_> = some.iter().map(|number| keys::sheet(Sheets::Signatures, *number)).collect();
            for (number, bytes) in some.iter().zip(self.view.large(&keys)?) {
                let bytes = bytes.ok_or_else(|| SearchFault::damaged("a sheet of signatures is missing"))?;
                let rows: Vec<SignatureRow> = decode(&bytes)?;
                for (number, row) in (u64::from(*number) * SIGNATURES..).zip(&rows) {
                    if number < begin || !self.matches(&wanted, row) {
                        continue;
                    }
                    if found.len() == self.limit {
                        return Ok((found, Some(number)));
                    }
                    found.push((number, *row));
                }
            }
        }
        Ok((found, candidates.beyond().map(|sheet| u64::from(sheet) * SIGNATURES)))
    }

    fn wanted(&self) -> Vec<Wanted> {
        let (filter, dictionary) = (self.filter, self.dictionary);
        let key = (filter.key.is_some() || filter.key_version.is_some())
            .then(|| Wanted::key(dictionary, filter.key.as_deref(), filter.key_version));
        let repository = Wanted::repositories(dictionary, filter.repository.as_ref(), self.reach);
        let principal =
            filter.principal.as_ref().map(|name| Wanted::name(dictionary, Dimension::Principal, name));
        let state = filter.state.map(|state| Wanted::new(Dimension::State, vec![state_code(state)]));
        [state, key, repository, principal].into_iter().flatten().collect()
    }

    fn matches(&self, wanted: &[Wanted], row: &SignatureRow) -> bool {
        let SignatureFilter { digest, from, to, .. } = self.filter;
        let has = |wanted: &Wanted| {
            let place = SIGNATURE.iter().position(|dimension| *dimension == wanted.dimension);
            place.is_some_and(|place| wanted.has(row.codes[place]))
        };
        row.first() < self.size
            && wanted.iter().all(has)
            && digest.is_none_or(|digest| row.digest() == beginning(digest.as_bytes()))
            && from.is_none_or(|from| row.time >= from.as_microsecond())
            && to.is_none_or(|to| row.time < to.as_microsecond())
    }

    /// The sheets, from `begin` on, on which signatures of the period may be: those whose first entries are.
    fn period(&self, begin: u64) -> Result<(u32, u32), SearchFault> {
        let (first, last) = (begin / SIGNATURES, self.meta.signatures.div_ceil(SIGNATURES));
        let (first, last) = (sheet_number(first)?, sheet_number(last)?);
        let all = sheet_number(self.meta.indexed.div_ceil(ENTRIES))?;
        let begin = match self.filter.from {
            Some(from) => {
                let entry = u64::from(reached(self.view, 0, all, from.as_microsecond())?) * ENTRIES;
                // The sheet before may end with signatures from there on.
                self.first_from(first, last, entry)?.saturating_sub(1).max(first)
            }
            None => first,
        };
        let end = match self.filter.to {
            Some(to) => {
                let beyond = to.as_microsecond().saturating_add(self.meta.lag).saturating_add(1);
                let entry = (u64::from(reached(self.view, 0, all, beyond)?) + 1) * ENTRIES;
                self.first_from(first, last, entry)?
            }
            None => last,
        };
        Ok((begin, end.max(begin)))
    }

    /// The first sheet, from `first` to before `last`, that begins with a signature of which `entry`, or a later one, is the first
    /// to speak.
    fn first_from(&self, first: u32, last: u32, entry: u64) -> Result<u32, SearchFault> {
        let (mut low, mut high) = (first, last);
        while low < high {
            let middle = low + (high - low) / 2;
            let begins = rows(self.view, &[u64::from(middle) * SIGNATURES])?;
            if begins.first().is_some_and(|row| row.first() < entry) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Tells of the signatures, as far as there is time, and where the next page begins.
    fn list(
        &self,
        rows: &[(u64, SignatureRow)],
        next: Option<u64>,
    ) -> Result<(Vec<ListedSignature>, Option<u64>), SearchFault> {
        let mut listed = Vec::with_capacity(rows.len());
        for some in rows.chunks(CHUNK) {
            if listed.len() >= LEAST_ENTRIES && self.view.is_long() {
                return Ok((listed, Some(some[0].0)));
            }
            self.tell(some, &mut listed)?;
        }
        Ok((listed, next))
    }

    /// Tells of each signature what the entry says that brought it into its state.
    fn tell(
        &self,
        rows: &[(u64, SignatureRow)],
        listed: &mut Vec<ListedSignature>,
    ) -> Result<(), SearchFault> {
        let mut indexes: Vec<_> = rows.iter().map(|(_, row)| row.last()).collect();
        indexes.sort_unstable();
        let read = self.view.entries(&indexes)?;
        let read: BTreeMap<u64, LoggedEntry> = read.into_iter().map(|entry| (entry.index, entry)).collect();
        for (_, row) in rows {
            let missing = || SearchFault::damaged("it knows entries that the log does not have");
            let Some(logged) = read.get(&row.last()) else {
                is_archived(self.view, row.last())?;
                continue;
            };
            let entry: Entry = serde_json::from_slice(&logged.bytes).map_err(|_| missing())?;
            let (Some(signing), Some(subject)) = (entry.signing().cloned(), entry.subject.clone()) else {
                return Err(missing());
            };
            // The beginning of a digest may be another's, too.
            if self.filter.digest.is_some_and(|digest| digest != subject.digest) {
                continue;
            }
            let (mut batch, mut attach, mut failure) = (None, None, None);
            match entry.event {
                Event::Intent { batch: of, .. } => batch = Some(of),
                Event::Outcome { result: Outcome::Failed { code }, .. } => failure = Some(code),
                Event::Attach { result, .. } => attach = Some(result),
                Event::Adopted { reference, manifest, .. } => {
                    attach = Some(crate::domain::AttachResult::Attached { reference, manifest });
                }
                _ => {}
            }
            listed.push(ListedSignature {
                time: crate::domain::Timestamp::from_microsecond(row.time).map_err(|_| missing())?,
                principal: self.dictionary.name(Dimension::Principal, row.codes[1]).to_owned(),
                subject,
                signing,
                state: row.state(),
                first: row.first(),
                holder: row.holder(),
                batch,
                attach,
                failure,
            });
        }
        Ok(())
    }
}
