//! One step behind the log.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::tz::TimeZone;

use super::cell::{CHUNK, Cell};
use super::dictionary::key_name;
use super::keys::{self, Dimension, Hashed, Period, Sheets};
use super::sheet::{ENTRIES, ENTRY, EntryRow, Row, SIGNATURE, SIGNATURES, SignatureRow, decode, encode};
use super::{Changes, Dictionary, Meta, STEP, SearchFault, View, beginning};
use crate::domain::{Digest, Entry, KeyVersion, SignatureId};
use crate::ports::{LoggedEntry, NewEntry};

/// Where the index stands, in memory. After a step that was not written it has to be read again.
#[derive(Debug, Clone)]
pub(in crate::store) struct Standing {
    pub(in crate::store) meta: Meta,
    pub(in crate::store) dictionary: Dictionary,
}

impl Standing {
    /// As the index says.
    pub(in crate::store) fn read(view: &dyn View, meta: Meta) -> Result<Self, SearchFault> {
        let mut dictionary = Dictionary::default();
        dictionary.follow(view, &meta)?;
        Ok(Self { meta, dictionary })
    }
}

/// An entry that is to be added.
#[derive(Debug, Clone)]
pub(in crate::store) enum Following {
    /// As the log has it.
    Read(LoggedEntry),
    /// As this process has just written it.
    Written(u64, NewEntry),
}

impl Following {
    pub(in crate::store) const fn index(&self) -> u64 {
        match self {
            Self::Read(logged) => logged.index,
            Self::Written(index, _) => *index,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Read(logged) => &logged.bytes,
            Self::Written(_, entry) => entry.bytes(),
        }
    }

    fn entry(&self) -> Option<Cow<'_, Entry>> {
        match self {
            Self::Read(logged) => parse(logged).map(Cow::Owned),
            Self::Written(_, entry) => Some(Cow::Borrowed(entry.entry())),
        }
    }
}

/// What adds `entries`, which follow those that are in the index, without gaps.
///
/// # Errors
/// Also where the index does not hold what it says it does.
pub(in crate::store) fn project(
    view: &dyn View,
    standing: &mut Standing,
    entries: &[Following],
) -> Result<Changes, SearchFault> {
    let mut step = Step { view, changes: Changes::default(), standing };
    let read: Vec<_> = entries.iter().map(|entry| (entry.index(), entry.entry())).collect();
    let mut rows = Vec::with_capacity(read.len());
    for (index, entry) in &read {
        rows.push(step.row(*index, entry.as_deref()));
    }
    step.append(&rows)?;
    step.count(&rows)?;
    step.follow_signatures(&read, &rows)?;
    let Step { mut changes, standing, .. } = step;
    if let Some(last) = entries.last() {
        standing.meta.indexed = last.index() + 1;
        standing.meta.last = Digest::of(last.bytes());
    }
    standing.meta.write(&mut changes);
    Ok(changes)
}

/// In the place of entries from `from` on that are archived, some: nothing is found by them. None where `from` is not archived.
pub(in crate::store) fn archived(view: &dyn View, from: u64) -> Result<Vec<Following>, SearchFault> {
    let end = view.first()?.min(from.saturating_add(STEP as u64));
    Ok((from..end).map(|index| Following::Read(LoggedEntry { index, bytes: Vec::new() })).collect())
}

/// An entry that can not be read has a place in the index all the same, with nothing to be found by.
fn parse(logged: &LoggedEntry) -> Option<Entry> {
    if logged.bytes.is_empty() {
        return None;
    }
    let read = serde_json::from_slice(&logged.bytes);
    read.inspect_err(
        |error| tracing::error!(%error, index = logged.index, "an entry of the log can not be read"),
    )
    .ok()
}

struct Step<'a> {
    view: &'a dyn View,
    changes: Changes,
    standing: &'a mut Standing,
}

impl Step<'_> {
    fn code(&mut self, dimension: Dimension, text: Option<&str>) -> u32 {
        let Standing { meta, dictionary } = &mut *self.standing;
        text.map_or(0, |text| dictionary.code(dimension, text, meta, &mut self.changes))
    }

    /// The row of an entry, and what it is found by.
    fn row(&mut self, index: u64, entry: Option<&Entry>) -> EntryRow {
        let Some(entry) = entry else {
            return EntryRow { codes: [0; 6], time: self.standing.meta.latest.max(0), numbers: [] };
        };
        let time = entry.time.as_microsecond();
        let key = entry.key().map(|key| key_name(key.as_str(), entry.key_version().map(KeyVersion::get)));
        let operation = entry.operation.map(|operation| operation.to_string());
        let repository = entry.repository().map(ToString::to_string);
        let codes = [
            self.code(Dimension::Kind, Some(entry.kind())),
            self.code(Dimension::Operation, operation.as_deref()),
            self.code(Dimension::Repository, repository.as_deref()),
            self.code(Dimension::Principal, Some(&entry.principal)),
            self.code(Dimension::Key, key.as_deref()),
            self.code(Dimension::Rule, entry.rule()),
        ];
        if let Some(subject) = &entry.subject {
            self.found_by(Hashed::EntryDigest, subject.digest.as_bytes(), index);
        }
        if let Some(request) = &entry.request_id {
            let name = Digest::of(request.as_str().as_bytes());
            self.found_by(Hashed::Request, name.as_bytes(), index);
        }
        EntryRow { codes, time, numbers: [] }
    }

    fn found_by(&mut self, what: Hashed, hash: &[u8; 32], number: u64) {
        self.changes.small.insert(keys::hashed(what, beginning(hash), number), Some(Vec::new()));
    }

    /// Puts the rows on their sheets.
    fn append(&mut self, rows: &[EntryRow]) -> Result<(), SearchFault> {
        let mut rest = rows;
        let mut index = self.standing.meta.indexed;
        while !rest.is_empty() {
            let number = sheet_number(index / ENTRIES)?;
            let mut sheet: Vec<EntryRow> = match index % ENTRIES {
                0 => Vec::new(),
                rows => read_sheet(self.view, number, rows)?,
            };
            let room = (ENTRIES - index % ENTRIES).min(rest.len() as u64) as usize;
            let (now, later) = rest.split_at(room);
            for (dimension, code) in values(ENTRY, now) {
                let key = keys::presence(Sheets::Entries, dimension, code, number);
                self.changes.small.insert(key, Some(Vec::new()));
            }
            for row in now {
                let meta = &mut self.standing.meta;
                meta.latest = meta.latest.max(row.time);
                meta.lag = meta.lag.max(meta.latest - row.time);
            }
            sheet.extend(now);
            self.changes.large.insert(keys::sheet(Sheets::Entries, number), encode(&sheet));
            self.changes
                .small
                .insert(keys::bound(number), Some(self.standing.meta.latest.to_be_bytes().to_vec()));
            (rest, index) = (later, index + room as u64);
        }
        Ok(())
    }

    /// Counts the rows in their cells.
    fn count(&mut self, rows: &[EntryRow]) -> Result<(), SearchFault> {
        let mut days: BTreeMap<(Dimension, i32, u32), Cell> = BTreeMap::new();
        for row in rows {
            let (day, kind) = (day(row.time), row.codes[0]);
            let each = ENTRY.into_iter().zip(row.codes).skip(1);
            for (dimension, code) in each.chain([(Dimension::All, 0)]) {
                days.entry((dimension, day, code / CHUNK)).or_default().add(code, kind, 1);
            }
        }
        let mut added: BTreeMap<i64, Cell> = BTreeMap::new();
        for ((dimension, day, chunk), cell) in days {
            let month = keys::cell(dimension, Period::Month(month(day)), chunk);
            added.entry(month).or_default().merge(&cell);
            added.insert(keys::cell(dimension, Period::Day(day), chunk), cell);
        }
        let keys: Vec<_> = added.keys().copied().collect();
        for ((key, mut cell), before) in added.into_iter().zip(self.view.large(&keys)?) {
            if let Some(before) = before {
                cell.merge(&Cell::decode(&before)?);
            }
            self.changes.large.insert(key, cell.encode());
        }
        Ok(())
    }

    /// Goes on with the signatures of which the entries speak.
    fn follow_signatures(
        &mut self,
        read: &[(u64, Option<Cow<'_, Entry>>)],
        rows: &[EntryRow],
    ) -> Result<(), SearchFault> {
        let speaking = read.iter().zip(rows).filter_map(|((index, entry), row)| {
            let entry = entry.as_deref()?;
            Some((*index, entry, entry.signing()?.id, entry.subject.as_ref()?.digest, row))
        });
        let speaking: Vec<_> = speaking.collect();
        let ids: BTreeSet<SignatureId> = speaking.iter().map(|(_, _, id, _, _)| *id).collect();
        let names: Vec<_> = ids.iter().map(|id| keys::signature(id.as_bytes())).collect();
        let mut numbers = HashMap::new();
        for (id, number) in ids.iter().zip(self.view.small(&names)?) {
            if let Some(number) = number {
                numbers.insert(*id, keys::last_u64(&number)?);
            }
        }
        let mut sheets = self.sheets(numbers.values().map(|number| number / SIGNATURES))?;
        for (index, entry, id, digest, row) in speaking {
            let [_, _, repository, principal, key, _] = row.codes;
            let number = *numbers.entry(id).or_insert_with(|| {
                let number = self.standing.meta.signatures;
                self.standing.meta.signatures += 1;
                let bytes = number.to_be_bytes().to_vec();
                self.changes.small.insert(keys::signature(id.as_bytes()), Some(bytes));
                number
            });
            let sheet = sheets.entry(number / SIGNATURES).or_default();
            let place = (number % SIGNATURES) as usize;
            if place == sheet.now.len() {
                let beginning = beginning(digest.as_bytes());
                sheet.now.push(SignatureRow::new([repository, principal, key], row.time, beginning, index));
                self.found_by(Hashed::SignatureDigest, digest.as_bytes(), number);
            }
            let known =
                sheet.now.get_mut(place).ok_or_else(|| SearchFault::damaged("a signature is missing"))?;
            known.take(index, &entry.event);
            if let Some(identity) = entry.identity() {
                self.found_by(Hashed::Identity, identity.as_bytes(), number);
            }
        }
        for (number, sheet) in sheets {
            self.put(sheet_number(number)?, &sheet);
        }
        Ok(())
    }

    /// The sheets of signatures of these numbers, and the one on which the next signature comes.
    fn sheets(&self, wanted: impl Iterator<Item = u64>) -> Result<BTreeMap<u64, Changed>, SearchFault> {
        let known = self.standing.meta.signatures;
        let mut wanted: BTreeSet<u64> = wanted.collect();
        if !known.is_multiple_of(SIGNATURES) {
            wanted.insert(known / SIGNATURES);
        }
        let keys = wanted.iter().map(|number| Ok(keys::sheet(Sheets::Signatures, sheet_number(*number)?)));
        let keys: Vec<_> = keys.collect::<Result<_, SearchFault>>()?;
        let mut sheets = BTreeMap::new();
        for (number, bytes) in wanted.into_iter().zip(self.view.large(&keys)?) {
            let rows =
                decode(&bytes.ok_or_else(|| SearchFault::damaged("a sheet of signatures is missing"))?)?;
            let expected = known.saturating_sub(number * SIGNATURES).min(SIGNATURES);
            if rows.len() as u64 != expected {
                return Err(SearchFault::damaged("a sheet of signatures is not as long as it should be"));
            }
            sheets.insert(number, Changed { before: rows.clone(), now: rows });
        }
        Ok(sheets)
    }

    /// Writes a sheet of signatures, and which values are on it now and were not, or are not any more.
    fn put(&mut self, number: u32, sheet: &Changed) {
        if sheet.before == sheet.now {
            return;
        }
        let (before, now) = (values(SIGNATURE, &sheet.before), values(SIGNATURE, &sheet.now));
        for (dimension, code) in before.symmetric_difference(&now) {
            let there = now.contains(&(*dimension, *code)).then(Vec::new);
            let key = keys::presence(Sheets::Signatures, *dimension, *code, number);
            self.changes.small.insert(key, there);
        }
        self.changes.large.insert(keys::sheet(Sheets::Signatures, number), encode(&sheet.now));
    }
}

/// A sheet of signatures as it was, and as it is.
#[derive(Debug, Default)]
struct Changed {
    before: Vec<SignatureRow>,
    now: Vec<SignatureRow>,
}

/// What stands on a sheet, each value once.
fn values<const DIMENSIONS: usize, const CODES: usize, const NUMBERS: usize>(
    dimensions: [Dimension; DIMENSIONS],
    rows: &[Row<CODES, NUMBERS>],
) -> BTreeSet<(Dimension, u32)> {
    rows.iter().flat_map(|row| dimensions.into_iter().zip(row.codes)).collect()
}

/// A sheet of entries that is there, with that many rows.
fn read_sheet(view: &dyn View, number: u32, rows: u64) -> Result<Vec<EntryRow>, SearchFault> {
    let bytes = view.large(&[keys::sheet(Sheets::Entries, number)])?.pop().flatten();
    let sheet = decode(&bytes.ok_or_else(|| SearchFault::damaged("a sheet is missing"))?)?;
    if sheet.len() as u64 == rows {
        Ok(sheet)
    } else {
        Err(SearchFault::damaged("a sheet is not as long as it should be"))
    }
}

/// # Errors
/// For a log that is longer than sheets can be counted.
pub(super) fn sheet_number(number: u64) -> Result<u32, SearchFault> {
    u32::try_from(number).map_err(|_| SearchFault::Failed {
        reason: "the log is too long to be indexed".to_owned(),
        transient: false,
    })
}

/// The day of UTC, counted from 1970.
fn day(time: i64) -> i32 {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    i32::try_from(time.div_euclid(DAY)).unwrap_or_default()
}

/// The month of a day, counted from January 1970.
pub(super) fn month(day: i32) -> i32 {
    let date = jiff::Timestamp::from_second(i64::from(day) * 24 * 3600);
    let date = date.map(|date| date.to_zoned(TimeZone::UTC).date()).unwrap_or_default();
    (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1
}

/// The first day of a month.
pub(super) fn first_day(month: i32) -> i32 {
    let year = i16::try_from(1970 + month.div_euclid(12)).unwrap_or_default();
    let month = i8::try_from(month.rem_euclid(12) + 1).unwrap_or(1);
    let first = jiff::civil::Date::new(year, month, 1).and_then(|date| date.to_zoned(TimeZone::UTC));
    first.map_or(0, |first| day(first.timestamp().as_microsecond()))
}
