//! On which sheets something may match.

use std::collections::BTreeSet;

use super::dictionary::key_of;
use super::keys::{self, Dimension, Sheets};
use super::{Dictionary, SearchFault, View};
use crate::domain::{Pattern, Reach};

/// Values of one dimension, of which a row has to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) dimension: Dimension,
    /// In their order.
    codes: Vec<u32>,
}

impl Wanted {
    pub(super) const fn new(dimension: Dimension, codes: Vec<u32>) -> Self {
        Self { dimension, codes }
    }

    /// The name itself.
    pub(super) fn name(dictionary: &Dictionary, dimension: Dimension, name: &str) -> Self {
        Self::new(dimension, dictionary.find(dimension, name).into_iter().collect())
    }

    /// Versions of keys: those of this name, of this version, or both.
    pub(super) fn key(dictionary: &Dictionary, key: Option<&str>, version: Option<u32>) -> Self {
        let codes = dictionary.matching(Dimension::Key, |name| {
            let (name, of) = key_of(name);
            key.is_none_or(|key| key == name) && version.is_none_or(|version| of == Some(version))
        });
        Self::new(Dimension::Key, codes)
    }

    /// Repositories: those that `pattern` fits, where there is one, and that are within `reach`. `None` where any will do, and none at
    /// all, too.
    pub(super) fn repositories(
        dictionary: &Dictionary,
        pattern: Option<&Pattern>,
        reach: &Reach,
    ) -> Option<Self> {
        if pattern.is_none() && reach.is_whole() {
            return None;
        }
        let named = dictionary.matching(Dimension::Repository, |name| {
            pattern.is_none_or(|pattern| pattern.matches(name)) && reach.sees_named(name)
        });
        let none = (pattern.is_none() && reach.sees(None)).then_some(NOTHING);
        Some(Self::new(Dimension::Repository, none.into_iter().chain(named).collect()))
    }

    pub(super) fn has(&self, code: u32) -> bool {
        match self.codes[..] {
            [] => false,
            [only] => only == code,
            _ => self.codes.binary_search(&code).is_ok(),
        }
    }

    /// Whether no row can match.
    pub(super) const fn is_nothing(&self) -> bool {
        self.codes.is_empty()
    }
}

/// The number for what a row does not have.
pub(super) const NOTHING: u32 = 0;

/// Sheets on which something may match, and up to which sheet that was found out: what is from there on is of the next page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidates {
    pub(super) sheets: Vec<u32>,
    pub(super) end: u32,
}

/// Keys that are read to find out on which sheets one value is.
const PER_VALUE: usize = 2048;

/// Keys that are read for all values of one dimension. Where there are more, rows are compared instead: values
/// that many are on nearly every sheet.
const PER_DIMENSION: usize = 16_384;

/// Values of one dimension that are looked up at once.
const VALUES: usize = 64;

/// Sheets that are looked at on one page.
const LOOKED_AT: usize = 512;

/// Sheets that are read at once, at most.
const AT_ONCE: usize = 32;

impl Candidates {
    /// The sheets for one page, some at a time: few first, as a page may be full soon.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[u32]> {
        let (mut rest, mut many) = (&self.sheets[..self.sheets.len().min(LOOKED_AT)], 1);
        std::iter::from_fn(move || {
            many = AT_ONCE.min(many * 2);
            let (now, later) = rest.split_at(many.min(rest.len()));
            rest = later;
            Some(now).filter(|now| !now.is_empty())
        })
    }

    /// The sheet that comes behind the first `done`, of those for one page.
    pub(super) fn behind(&self, done: usize) -> Option<u32> {
        self.sheets.get(done).copied()
    }

    /// The first sheet that is for another page, of those before `end`.
    pub(super) fn beyond(&self, end: u32) -> Option<u32> {
        self.sheets.get(LOOKED_AT).copied().or(Some(self.end).filter(|known| *known < end))
    }
}

/// The sheets from `begin` to before `end` on which each of `wanted` may be met.
pub(super) fn candidates(
    view: &dyn View,
    sheets: Sheets,
    wanted: &[Wanted],
    begin: u32,
    end: u32,
) -> Result<Candidates, SearchFault> {
    let mut found: Option<BTreeSet<u32>> = None;
    let mut end = end;
    for wanted in wanted {
        let Some((on, known)) = sheets_of(view, sheets, wanted, begin, end)? else { continue };
        end = end.min(known);
        found = Some(match found {
            None => on,
            Some(found) => found.intersection(&on).copied().collect(),
        });
    }
    let sheets = match found {
        Some(found) => found.range(..end).copied().collect(),
        None => (begin..end).collect(),
    };
    Ok(Candidates { sheets, end })
}

/// The sheets on which one of the values is, and up to where that is known; `None` where it is not worth knowing.
fn sheets_of(
    view: &dyn View,
    sheets: Sheets,
    wanted: &Wanted,
    begin: u32,
    end: u32,
) -> Result<Option<(BTreeSet<u32>, u32)>, SearchFault> {
    if wanted.has(NOTHING) {
        // As all is that is not hidden: nearly every sheet has some of it.
        return Ok(None);
    }
    let (mut on, mut known, mut read) = (BTreeSet::new(), end, 0);
    for codes in wanted.codes.chunks(VALUES) {
        let key = |code, sheet| keys::presence(sheets, wanted.dimension, code, sheet);
        let ranges: Vec<_> = codes.iter().map(|code| (key(*code, begin), key(*code, known))).collect();
        for found in view.ranges(&ranges, PER_VALUE)? {
            read += found.len();
            let is_cut = found.len() == PER_VALUE;
            for (key, _) in &found {
                on.insert(keys::last_u32(key)?);
            }
            if is_cut && let Some((last, _)) = found.last() {
                known = known.min(keys::last_u32(last)? + 1);
            }
        }
        if read > PER_DIMENSION {
            return Ok(None);
        }
    }
    Ok(Some((on, known)))
}
