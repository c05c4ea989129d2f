//! On which sheets something may match.

use std::collections::BTreeSet;
use std::ops::Range;

use super::dictionary::key_of;
use super::keys::{self, Dimension, Sheets};
use super::{Dictionary, SearchFault, View};
use crate::domain::{Pattern, Reach};
use crate::ports::Order;

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

/// Sheets on which something may match.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidates {
    /// In the order in which they are looked at.
    sheets: Vec<u32>,
    order: Order,
    /// Where that is not known any more, if anywhere: what is beyond is of the next page.
    unknown: Option<u32>,
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

    /// Where a page ends that has looked at the first `done`, if there are more for it: before the first sheet of the rest, or, from the newest
    /// down, behind it.
    pub(super) fn behind(&self, done: usize) -> Option<u32> {
        let rest = *self.sheets.get(done)?;
        Some(match self.order {
            Order::OldestFirst => rest,
            Order::NewestFirst => rest + 1,
        })
    }

    /// Where a page ends that has looked at all that are for it, if there is something for another.
    pub(super) fn beyond(&self) -> Option<u32> {
        self.behind(LOOKED_AT).or(self.unknown)
    }
}

/// The sheets within `asked` on which each of `wanted` may be met.
pub(super) fn candidates(
    view: &dyn View,
    sheets: Sheets,
    wanted: &[Wanted],
    asked: Range<u32>,
    order: Order,
) -> Result<Candidates, SearchFault> {
    let mut found: Option<BTreeSet<u32>> = None;
    let mut known = asked.clone();
    for wanted in wanted {
        let Some(on) = sheets_of(view, sheets, wanted, &mut known, order)? else { continue };
        found = Some(match found {
            None => on,
            Some(found) => found.intersection(&on).copied().collect(),
        });
    }
    let mut sheets: Vec<u32> = match found {
        Some(found) => found.into_iter().filter(|sheet| known.contains(sheet)).collect(),
        None => known.clone().collect(),
    };
    let unknown = match order {
        Order::OldestFirst => Some(known.end).filter(|end| *end < asked.end),
        Order::NewestFirst => {
            sheets.reverse();
            Some(known.start).filter(|start| *start > asked.start)
        }
    };
    Ok(Candidates { sheets, order, unknown })
}

/// The sheets on which one of the values is, and maybe others that are not `known`, of which that leaves those that were found out, in
/// their order; `None` where it is not worth knowing.
fn sheets_of(
    view: &dyn View,
    sheets: Sheets,
    wanted: &Wanted,
    known: &mut Range<u32>,
    order: Order,
) -> Result<Option<BTreeSet<u32>>, SearchFault> {
    if wanted.has(NOTHING) {
        // As all is that is not hidden: nearly every sheet has some of it.
        return Ok(None);
    }
    let asked = known.clone();
    let (mut on, mut read) = (BTreeSet::new(), 0);
    for codes in wanted.codes.chunks(VALUES) {
        let key = |code, sheet| keys::presence(sheets, wanted.dimension, code, sheet);
        let range = |code: &u32| (key(*code, known.start), key(*code, known.end));
        let ranges: Vec<_> = codes.iter().map(range).collect();
        for found in view.ranges(&ranges, PER_VALUE, order)? {
            read += found.len();
            let is_cut = found.len() == PER_VALUE;
            for (key, _) in &found {
                on.insert(keys::last_u32(key)?);
            }
            if is_cut && let Some((last, _)) = found.last() {
                let last = keys::last_u32(last)?;
                match order {
                    Order::OldestFirst => known.end = known.end.min(last + 1),
                    Order::NewestFirst => known.start = known.start.max(last),
                }
            }
        }
        if read > PER_DIMENSION {
            *known = asked;
            return Ok(None);
        }
    }
    Ok(Some(on))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Pair, Range as Keys};
    use super::*;
    use crate::ports::LoggedEntry;

    /// What is on which sheet.
    struct Presence(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Presence {
        fn of(values: &[(Dimension, u32, &[u32])]) -> Self {
            let keys = values.iter().flat_map(|(dimension, code, sheets)| {
                sheets.iter().map(|sheet| keys::presence(Sheets::Entries, *dimension, *code, *sheet))
            });
            Self(keys.map(|key| (key, Vec::new())).collect())
        }
    }

    impl View for Presence {
        fn ranges(&self, ranges: &[Keys], limit: usize, order: Order) -> Result<Vec<Vec<Pair>>, SearchFault> {
            let range = |(from, to): &Keys| {
                let pairs = self.0.range(from.clone()..to.clone());
                let pairs = pairs.map(|(key, value)| (key.clone(), value.clone()));
                match order {
                    Order::OldestFirst => pairs.take(limit).collect(),
                    Order::NewestFirst => pairs.rev().take(limit).collect(),
                }
            };
            Ok(ranges.iter().map(range).collect())
        }

        fn small(&self, _: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, SearchFault> {
            Err(SearchFault::damaged("only presence"))
        }

        fn large(&self, _: &[i64]) -> Result<Vec<Option<Vec<u8>>>, SearchFault> {
            Err(SearchFault::damaged("only presence"))
        }

        fn large_range(&self, _: i64, _: i64) -> Result<Vec<(i64, Vec<u8>)>, SearchFault> {
            Err(SearchFault::damaged("only presence"))
        }

        fn entries(&self, _: &[u64]) -> Result<Vec<LoggedEntry>, SearchFault> {
            Err(SearchFault::damaged("only presence"))
        }

        fn first(&self) -> Result<u64, SearchFault> {
            Ok(0)
        }

        fn is_long(&self) -> bool {
            false
        }
    }

    /// The sheets of all pages, and how many pages they took.
    fn pages(view: &Presence, wanted: &[Wanted], mut asked: Range<u32>, order: Order) -> (Vec<u32>, usize) {
        let (mut sheets, mut pages) = (Vec::new(), 0);
        loop {
            let found = candidates(view, Sheets::Entries, wanted, asked.clone(), order).unwrap();
            sheets.extend(found.groups().flatten());
            pages += 1;
            let Some(next) = found.beyond() else { return (sheets, pages) };
            match order {
                Order::OldestFirst => asked.start = next,
                Order::NewestFirst => asked.end = next,
            }
        }
    }

    #[test]
    fn a_log_of_any_length_is_walked_through_in_either_order() {
        const SHEETS: u32 = 20_000;
        let every = |step: usize| (0..SHEETS).step_by(step).collect::<Vec<_>>();
        let (all, half, third, rare) = (every(1), every(2), every(3), vec![7, 9_999, 19_998]);
        // Those where what is read of a value that is everywhere ends, and those behind.
        let cut = u32::try_from(PER_VALUE).unwrap();
        let edges = vec![cut - 1, cut, SHEETS - cut - 1, SHEETS - cut];
        let odd: Vec<_> = all.iter().copied().filter(|sheet| sheet % 2 == 1).collect();
        let view = Presence::of(&[
            (Dimension::Principal, 1, &all),
            (Dimension::Principal, 2, &half),
            (Dimension::Principal, 3, &rare),
            (Dimension::Key, 1, &third),
            (Dimension::Key, 2, &odd),
            (Dimension::Rule, 1, &edges),
        ]);
        let wanted = |dimension, codes: &[u32]| Wanted::new(dimension, codes.to_vec());
        let both: Vec<_> = half.iter().copied().filter(|sheet| sheet % 3 == 0).collect();
        for (wanted, expected, most) in [
            (vec![], &all, 40),
            (vec![wanted(Dimension::Principal, &[1])], &all, 50),
            (vec![wanted(Dimension::Principal, &[2])], &half, 25),
            (vec![wanted(Dimension::Principal, &[2]), wanted(Dimension::Key, &[1])], &both, 10),
            (vec![wanted(Dimension::Principal, &[3])], &rare, 1),
            (vec![wanted(Dimension::Principal, &[3]), wanted(Dimension::Key, &[1, 2])], &rare, 11),
            (vec![wanted(Dimension::Principal, &[2]), wanted(Dimension::Key, &[2])], &vec![], 5),
            (vec![wanted(Dimension::Principal, &[1]), wanted(Dimension::Rule, &[1])], &edges, 10),
            (vec![wanted(Dimension::Rule, &[1]), wanted(Dimension::Principal, &[1])], &edges, 10),
        ] {
            let (up, pages_up) = pages(&view, &wanted, 0..SHEETS, Order::OldestFirst);
            let (mut down, pages_down) = pages(&view, &wanted, 0..SHEETS, Order::NewestFirst);
            down.reverse();
            assert_eq!((&up, &down), (expected, expected), "{wanted:?}");
            assert!(pages_up <= most && pages_down <= most, "{wanted:?}: {pages_up} and {pages_down} pages");
        }
    }

    #[test]
    fn a_part_is_asked_for_and_nothing_beside_it() {
        let all: Vec<u32> = (0..3000).collect();
        let view = Presence::of(&[(Dimension::Kind, 1, &all)]);
        let kind = [Wanted::new(Dimension::Kind, vec![1])];
        for wanted in [&kind[..], &[]] {
            let (down, _) = pages(&view, wanted, 17..2717, Order::NewestFirst);
            assert_eq!(down, (17..2717).rev().collect::<Vec<_>>());
        }
    }
}
