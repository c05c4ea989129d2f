//! How many entries there are of what.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;

use super::cell::each;
use super::dictionary::key_of;
use super::entries::REFUSAL;
use super::keys::{Dimension, Period, cell, of_cell};
use super::planner::{NOTHING, Wanted};
use super::project::{first_day, month};
use super::{Dictionary, Meta, SearchFault, View};
use crate::domain::Reach;
use crate::ports::{CountQuery, Counted, CountedOf, Counts, Grouping, SearchProgress};

/// Answers from cells: months where the period has whole ones and nobody wants to see its days.
pub(in crate::store) fn counts(
    view: &dyn View,
    meta: &Meta,
    dictionary: &Dictionary,
    log_size: u64,
    query: &CountQuery,
    reach: &Reach,
) -> Result<Counts, SearchFault> {
    if !reach.is_whole() && !query.is_of_repositories() {
        let reason = "a part of the log can not be counted like this".to_owned();
        return Err(SearchFault::Failed { reason, transient: false });
    }
    let of = match &query.of {
        None => Wanted::repositories(dictionary, None, reach),
        Some(of) => wanted(dictionary, of, reach),
    };
    let dimension = of.as_ref().map_or_else(|| dimension(query.by), |of| of.dimension);
    let kinds = dictionary.matching(Dimension::Kind, |kind| {
        query.kind.as_ref().is_none_or(|wanted| wanted == kind)
            && query.denied.is_none_or(|denied| (kind == REFUSAL) == denied)
    });
    // What can not be read has no kind, and may speak of any repository.
    let all_kinds = query.kind.is_none() && query.denied != Some(true) && reach.is_whole();
    let kinds = Wanted::new(Dimension::Kind, kinds);

    let mut groups: HashMap<Group, u64> = HashMap::new();
    for (first, last) in periods(query) {
        let cells = view.large_range(cell(dimension, first, 0), cell(dimension, last, CHUNKS))?;
        for (key, bytes) in cells {
            let (period, chunk) = of_cell(key);
            each(&bytes, chunk, |code, kind, entries| {
                let is_counted = of.as_ref().is_none_or(|of| of.has(code))
                    && (kinds.has(kind) || (all_kinds && kind == NOTHING));
                if is_counted {
                    *groups.entry(group(query.by, period, code, kind)).or_default() += u64::from(entries);
                }
            })?;
        }
    }
    let progress = SearchProgress { log_size, indexed: meta.indexed };
    let entries = groups.values().sum();
    Ok(Counts { groups: named(dictionary, query, groups), entries, progress })
}

/// The last chunk that there may be.
const CHUNKS: u32 = (1 << 25) - 1;

/// What entries of one group have in common: a number of days, months or of the dictionary.
type Group = i64;

fn group(by: Grouping, period: Period, code: u32, kind: u32) -> Group {
    match (by, period) {
        (Grouping::Day, Period::Day(day)) => day.into(),
        (Grouping::Day, Period::Month(month)) => first_day(month).into(),
        (Grouping::Month, Period::Day(day)) => month(day).into(),
        (Grouping::Month, Period::Month(month)) => month.into(),
        (Grouping::Kind | Grouping::Decision, _) => kind.into(),
        _ => code.into(),
    }
}

/// Ranges of periods that together are the period asked for.
fn periods(query: &CountQuery) -> Vec<(Period, Period)> {
    let clamp = |day: i64| i32::try_from(day.clamp(FIRST_DAY, LAST_DAY)).unwrap_or_default();
    let from = query.from.map_or(clamp(FIRST_DAY), clamp);
    // Before `to`.
    let last = query.to.map_or(clamp(LAST_DAY), |to| clamp(to.saturating_sub(1)));
    if last < from || query.to.is_some_and(|to| to <= FIRST_DAY) {
        return Vec::new();
    }
    if query.by == Grouping::Day {
        return vec![(Period::Day(from), Period::Day(last))];
    }
    let first_month = if first_day(month(from)) == from { month(from) } else { month(from) + 1 };
    let beyond = last + 1;
    let last_month = if first_day(month(beyond)) == beyond { month(last) } else { month(last) - 1 };
    if first_month > last_month {
        return vec![(Period::Day(from), Period::Day(last))];
    }
    let mut periods = vec![(Period::Month(first_month), Period::Month(last_month))];
    if from < first_day(first_month) {
        periods.push((Period::Day(from), Period::Day(first_day(first_month) - 1)));
    }
    if first_day(last_month + 1) <= last {
        periods.push((Period::Day(first_day(last_month + 1)), Period::Day(last)));
    }
    periods
}

/// The days of the years from 1 to 9998.
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_531;

fn wanted(dictionary: &Dictionary, of: &CountedOf, reach: &Reach) -> Option<Wanted> {
    Some(match of {
        CountedOf::Repository(pattern) => return Wanted::repositories(dictionary, Some(pattern), reach),
        CountedOf::Principal(name) => Wanted::name(dictionary, Dimension::Principal, name),
        CountedOf::Key { name, version } => Wanted::key(dictionary, Some(name), *version),
        CountedOf::Operation(operation) => {
            Wanted::name(dictionary, Dimension::Operation, &operation.to_string())
        }
        CountedOf::Rule(rule) => Wanted::name(dictionary, Dimension::Rule, rule),
    })
}

/// The dimension whose cells tell the groups apart.
const fn dimension(by: Grouping) -> Dimension {
    match by {
        Grouping::Day | Grouping::Month | Grouping::Kind | Grouping::Decision => Dimension::All,
        Grouping::Repository => Dimension::Repository,
        Grouping::Principal => Dimension::Principal,
        Grouping::Key => Dimension::Key,
        Grouping::Operation => Dimension::Operation,
        Grouping::Rule => Dimension::Rule,
    }
}

/// The groups with their names, in their order, as many as are wanted.
fn named(dictionary: &Dictionary, query: &CountQuery, groups: HashMap<Group, u64>) -> Vec<Counted> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    let is_time = matches!(query.by, Grouping::Day | Grouping::Month);
    if query.by == Grouping::Decision {
        let mut decisions = BTreeMap::new();
        for (group, entries) in groups {
            let refused = name(dictionary, Dimension::Kind, group) == REFUSAL;
            *decisions.entry(Group::from(refused)).or_insert(0) += entries;
        }
        groups = decisions.into_iter().collect();
    }
    groups.sort_unstable_by_key(|(group, entries)| (std::cmp::Reverse(*entries), *group));
    groups.truncate(query.top);
    if is_time {
        groups.sort_unstable();
    }
    let counted = |(group, entries)| {
        let (text, key_version) = match query.by {
            Grouping::Day => (date(group).to_string(), None),
            Grouping::Month => {
                let first = date(first_day(i32::try_from(group).unwrap_or_default()).into());
                (first.strftime("%Y-%m").to_string(), None)
            }
            Grouping::Decision => (if group == 1 { "deny" } else { "allow" }.to_owned(), None),
            Grouping::Key => {
                let (key, version) = key_of(name(dictionary, Dimension::Key, group));
                (key.to_owned(), version)
            }
            Grouping::Kind => (name(dictionary, Dimension::Kind, group).to_owned(), None),
            by => (name(dictionary, dimension(by), group).to_owned(), None),
        };
        Counted { group: text, key_version, entries }
    };
    groups.into_iter().map(counted).collect()
}

fn name(dictionary: &Dictionary, dimension: Dimension, group: Group) -> &str {
    u32::try_from(group).map_or("", |code| dictionary.name(dimension, code))
}

fn date(day: i64) -> jiff::civil::Date {
    let time = jiff::Timestamp::from_second(day.saturating_mul(24 * 3600));
    time.map(|time| time.to_zoned(TimeZone::UTC).date()).unwrap_or_default()
}
