//! Questions about entries.

use super::keys::{self, Dimension, Hashed, Sheets};
use super::planner::{NOTHING, Wanted, candidates};
use super::project::sheet_number;
use super::sheet::{ENTRIES, ENTRY, EntryRow, decode};
use super::{Dictionary, LEAST_ENTRIES, LEAST_SHEETS, Meta, SearchFault, View, beginning, is_archived};
use crate::domain::{Digest, Entry, EntryFilter, Reach};
use crate::ports::{EntryPage, EntryQuery, LoggedEntry, Order, SearchProgress};
use crate::store::PAGE_BYTES;

/// Entries that are read at once.
const CHUNK: usize = 50;

/// Entries of one hash that one page compares.
const COMPARED: usize = 1500;

/// One page. It goes along the indexes of entries, up or down, so that pages neither overlap nor skip while the log grows.
pub(in crate::store) fn page(
    view: &dyn View,
    meta: &Meta,
    dictionary: &Dictionary,
    log_size: u64,
    query: &EntryQuery,
    reach: &Reach,
) -> Result<EntryPage, SearchFault> {
    let (order, first, indexed) = (query.order, view.first()?, meta.indexed);
    let before = query.before.filter(|_| order == Order::NewestFirst).unwrap_or(u64::MAX);
    let size = query.size.map_or(indexed.min(before), |size| size.min(log_size));
    let (begin, end) = match order {
        Order::OldestFirst => {
            (query.after.map_or(0, |after| after.saturating_add(1)).max(first), size.min(indexed))
        }
        Order::NewestFirst => (first, size.min(before)),
    };
    let limit = query.limit.min(EntryQuery::MAX_LIMIT);
    let search = Search { view, meta, dictionary, filter: &query.filter, order, reach, limit };
    let nothing = |next| Found { indexes: Vec::new(), next };
    let found = match hashes(&query.filter).next() {
        // What is left is not indexed. From the newest down, it comes before all else.
        _ if end > indexed => nothing(end),
        _ if begin >= end => nothing(match order {
            Order::OldestFirst => end.max(begin.min(size)),
            Order::NewestFirst => begin,
        }),
        Some((what, hash)) => search.by_hash(what, &hash, begin, end)?,
        None => search.by_sheet(begin, end)?,
    };
    let Found { indexes, next } = found;
    let (entries, next) = search.read(&indexes, next)?;
    let is_more = match order {
        Order::OldestFirst => next < size,
        Order::NewestFirst => next > first,
    };
    let progress = SearchProgress { log_size, indexed };
    Ok(EntryPage { entries, size, next: is_more.then_some(next), progress })
}

/// Entries that match, in the order that was asked for, and where what was looked at ends: see [`EntryPage::next`].
struct Found {
    /// With whether the entry itself has to be asked.
    indexes: Vec<(u64, bool)>,
    next: u64,
}

struct Search<'a> {
    view: &'a dyn View,
    meta: &'a Meta,
    dictionary: &'a Dictionary,
    filter: &'a EntryFilter,
    order: Order,
    reach: &'a Reach,
    limit: usize,
}

impl Search<'_> {
    /// Where a page ends that looks at all from `begin` to before `end`.
    const fn all(&self, begin: u64, end: u64) -> u64 {
        match self.order {
            Order::OldestFirst => end,
            Order::NewestFirst => begin,
        }
    }

    /// Where a page ends for which `index` is the next one to look at.
    const fn without(&self, index: u64) -> u64 {
        match self.order {
            Order::OldestFirst => index,
            Order::NewestFirst => index + 1,
        }
    }

    /// Where a page ends that has looked at `index` last.
    const fn with(&self, index: u64) -> u64 {
        match self.order {
            Order::OldestFirst => index + 1,
            Order::NewestFirst => index,
        }
    }

    /// Those that a hash leads to, each of which has to be asked.
    fn by_hash(&self, what: Hashed, hash: &Digest, begin: u64, end: u64) -> Result<Found, SearchFault> {
        let range = keys::hashed_range(what, beginning(hash.as_bytes()), begin, end);
        let keys = self.view.ranges(&[range], COMPARED, self.order)?.pop().unwrap_or_default();
        let indexes = keys.iter().map(|(key, _)| Ok((keys::last_u64(key)?, true)));
        let indexes: Vec<_> = indexes.collect::<Result<_, SearchFault>>()?;
        let next = match indexes.last() {
            Some((last, _)) if indexes.len() == COMPARED => self.with(*last),
            _ => self.all(begin, end),
        };
        Ok(Found { indexes, next })
    }

    /// Those whose rows match.
    fn by_sheet(&self, begin: u64, end: u64) -> Result<Found, SearchFault> {
        let wanted = self.wanted();
        if wanted.iter().any(Wanted::is_nothing) {
            return Ok(Found { indexes: Vec::new(), next: self.all(begin, end) });
        }
        let (first, last) =
            self.period(sheet_number(begin / ENTRIES)?, sheet_number(end.div_ceil(ENTRIES))?)?;
        let candidates = candidates(self.view, Sheets::Entries, &wanted, first..last, self.order)?;
        let at_sheet = |sheet| (u64::from(sheet) * ENTRIES).clamp(begin, end);
        let next = candidates.beyond().map_or(self.all(begin, end), at_sheet);
        let places: Vec<_> = wanted
            .iter()
            .filter_map(|wanted| Some((ENTRY.iter().position(|each| *each == wanted.dimension)?, wanted)))
            .collect();
        let (mut indexes, mut done) = (Vec::new(), 0);
        for some in candidates.groups() {
            if done >= LEAST_SHEETS
                && self.view.is_long()
                && let Some(sheet) = candidates.behind(done)
            {
                return Ok(Found { indexes, next: at_sheet(sheet) });
            }
            done += some.len();
            let keys: Vec<_> = some.iter().map(|number| keys::sheet(Sheets::Entries, *number)).collect();
            for (number, bytes) in some.iter().zip(self.view.large(&keys)?) {
                let bytes = bytes.ok_or_else(|| SearchFault::damaged("a sheet is missing"))?;
                let rows: Vec<EntryRow> = decode(&bytes)?;
                for step in 0..rows.len() {
                    let place = match self.order {
                        Order::OldestFirst => step,
                        Order::NewestFirst => rows.len() - 1 - step,
                    };
                    let (index, row) = (u64::from(*number) * ENTRIES + place as u64, &rows[place]);
                    if index < begin
                        || index >= end
                        || !places.iter().all(|(at, wanted)| wanted.has(row.codes[*at]))
                        || self.is_out_of_reach(row)
                    {
                        continue;
                    }
                    let Some(is_unsure) = self.in_time(row.time) else { continue };
                    if indexes.len() == self.limit {
                        return Ok(Found { indexes, next: self.without(index) });
                    }
                    indexes.push((index, is_unsure));
                }
            }
        }
        Ok(Found { indexes, next })
    }

    /// What rows have to have.
    fn wanted(&self) -> Vec<Wanted> {
        let (filter, dictionary) = (self.filter, self.dictionary);
        let named =
            |dimension, name: Option<&str>| name.map(|name| Wanted::name(dictionary, dimension, name));
        let kinds = |wanted: &dyn Fn(&str) -> bool| {
            Wanted::new(Dimension::Kind, dictionary.matching(Dimension::Kind, wanted))
        };
        let operation = filter.operation.map(|operation| operation.to_string());
        let repository = Wanted::repositories(dictionary, filter.repository.as_ref(), self.reach);
        let key = (filter.key.is_some() || filter.key_version.is_some())
            .then(|| Wanted::key(dictionary, filter.key.as_deref(), filter.key_version));
        let conditions = [
            key,
            repository,
            named(Dimension::Principal, filter.principal.as_deref()),
            named(Dimension::Rule, filter.rule.as_deref()),
            named(Dimension::Operation, operation.as_deref()),
            named(Dimension::Kind, filter.kind.as_deref()),
            // An entry that can not be read has no kind, and is no refusal.
            filter.denied.map(|denied| kinds(&|kind| (kind == REFUSAL) == denied)),
        ];
        conditions.into_iter().flatten().collect()
    }

    /// An entry that can not be read has no kind, and may speak of any repository.
    fn is_out_of_reach(&self, row: &EntryRow) -> bool {
        row.codes[0] == NOTHING && !self.reach.is_whole()
    }

    /// The sheets, of those from `first` to before `last`, on which entries of the period may be.
    fn period(&self, first: u32, last: u32) -> Result<(u32, u32), SearchFault> {
        // An entry of `from` or later is one at which the greatest time has reached `from`.
        let begin = match self.filter.from {
            Some(from) => reached(self.view, first, last, from.as_microsecond())?,
            None => first,
        };
        // Where the greatest time is beyond `to` by more than any entry ever lagged, no later entry is before `to`.
        let end = match self.filter.to {
            Some(to) => {
                let beyond = to.as_microsecond().saturating_add(self.meta.lag).saturating_add(1);
                reached(self.view, first, last, beyond)?.saturating_add(1).min(last)
            }
            None => last,
        };
        Ok((begin, end.max(begin)))
    }

    /// Whether a row's time is in the period: `Some(true)` where the entry knows it more exactly.
    fn in_time(&self, time: i64) -> Option<bool> {
        let (from, to) = (
            self.filter.from.map(|from| from.as_microsecond()),
            self.filter.to.map(|to| to.as_microsecond()),
        );
        if from.is_some_and(|from| time < from) || to.is_some_and(|to| time > to) {
            return None;
        }
        Some(from == Some(time) || to == Some(time))
    }

    /// The entries themselves, as far as the page has room, and where the next page begins.
    fn read(&self, indexes: &[(u64, bool)], next: u64) -> Result<(Vec<LoggedEntry>, u64), SearchFault> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for some in indexes.chunks(CHUNK) {
            if entries.len() >= LEAST_ENTRIES && self.view.is_long() {
                return Ok((entries, self.without(some[0].0)));
            }
            let mut numbers: Vec<_> = some.iter().map(|(index, _)| *index).collect();
            numbers.sort_unstable();
            let mut read = self.view.entries(&numbers)?;
            if self.order == Order::NewestFirst {
                read.reverse();
            }
            let mut read = read.into_iter().peekable();
            for (index, is_unsure) in some {
                let Some(entry) = read.next_if(|entry| entry.index == *index) else {
                    is_archived(self.view, *index)?;
                    continue;
                };
                if *is_unsure && !self.matches(&entry) {
                    continue;
                }
                if entries.len() == self.limit || bytes >= PAGE_BYTES {
                    return Ok((entries, self.without(entry.index)));
                }
                bytes += entry.bytes.len();
                entries.push(entry);
            }
        }
        Ok((entries, next))
    }

    fn matches(&self, entry: &LoggedEntry) -> bool {
        serde_json::from_slice::<Entry>(&entry.bytes)
            .is_ok_and(|entry| self.filter.matches(&entry) && self.reach.sees(entry.repository()))
    }
}

/// The kind of refusals.
pub(super) const REFUSAL: &str = "refusal";

/// What the filter names by its hash.
fn hashes(filter: &EntryFilter) -> impl Iterator<Item = (Hashed, Digest)> {
    let request = filter.request_id.as_ref().map(|id| (Hashed::Request, Digest::of(id.as_bytes())));
    let digest = filter.digest.map(|digest| (Hashed::EntryDigest, digest));
    request.into_iter().chain(digest)
}

/// The first sheet, from `first` to before `last`, up to whose end the greatest time is at least `moment`; else `last`.
pub(super) fn reached(view: &dyn View, first: u32, last: u32, moment: i64) -> Result<u32, SearchFault> {
    let (mut low, mut high) = (first, last);
    while low < high {
        let middle = low + (high - low) / 2;
        let bound = view.small(&[keys::bound(middle)])?.pop().flatten();
        let bound = bound.ok_or_else(|| SearchFault::damaged("a sheet has no bound"))?;
        // Times are signed: flipping nothing, as the bytes are only read back.
        if keys::last_u64(&bound)?.cast_signed() < moment {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
