//! Refusals and readings, of which a flood must not flood the log.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Service;
use crate::domain::{Alike, Entry, Event, KeyName, Missing, Operation, Repository, Timestamp};
use crate::ports::LogError;

/// Counts what happens again and again: of one kind, the first few are told as they come, and how many came after them when a
/// minute is over.
///
/// At most [`Repeats::KINDS`] kinds are told apart at a time; what is beyond is counted for each principal, and beyond
/// as many principals for all of them together. Nothing is left out: the counts of the entries add up.
#[derive(Debug)]
pub struct Repeats {
    /// Of one kind, within a minute, told as they come.
    at_once: u8,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    kinds: HashMap<Kind, Minute>,
    principals: HashMap<String, Minute>,
    others: Option<Minute>,
}

/// What refusals or readings of one kind have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    principal: String,
    operation: Option<Operation>,
    repository: Option<Repository>,
    key: Option<KeyName>,
    rule: Option<String>,
    /// What is asked of the log, on whichever page.
    query: BTreeMap<String, String>,
}

/// What has been counted since something was told.
#[derive(Debug)]
struct Minute {
    since: Timestamp,
    /// Told as they came.
    at_once: u8,
    /// Not told yet.
    count: u64,
    /// The last one that was counted.
    last: Option<Entry>,
}

impl Repeats {
    /// Kinds that are told apart; and principals, of what is of other kinds.
    pub const KINDS: usize = 1024;

    /// Of refusals: who is refused now and then finds each refusal in the log.
    const REFUSALS_AT_ONCE: u8 = 5;

    /// What in a query says which page it is: all pages of one walk are of one kind.
    const PAGES: [&str; 8] = ["after", "before", "begin", "bundle", "from_index", "index", "limit", "size"];

    /// How long the same is counted before it is told again.
    const MINUTE: Duration = Duration::from_secs(60);

    /// Between two looks at what is to be told.
    const PAUSE: Duration = Duration::from_secs(5);

    /// For refusals.
    pub fn of_refusals() -> Self {
        Self { at_once: Self::REFUSALS_AT_ONCE, counted: Mutex::default() }
    }

    /// For readings: the pages of a walk are one entry, and another for each minute that it lasts.
    pub fn of_readings() -> Self {
        Self { at_once: 1, counted: Mutex::default() }
    }

    /// The entry that is to be logged now: `entry`, where it is among the first of its kind.
    fn note(&self, entry: Entry) -> Option<Entry> {
        let mut counted = self.counted();
        let Counted { kinds, principals, others } = &mut *counted;
        let kind = Kind::of(&entry);
        let minute = if kinds.contains_key(&kind) || kinds.len() < Self::KINDS {
            kinds.entry(kind).or_insert_with(|| Minute::at(entry.time))
        } else if principals.contains_key(&kind.principal) || principals.len() < Self::KINDS {
            principals.entry(kind.principal).or_insert_with(|| Minute::at(entry.time))
        } else {
            others.get_or_insert_with(|| Minute::at(entry.time))
        };
        minute.note(entry, self.at_once)
    }

    /// What has been counted for a minute and is to be logged now; at the end, everything. What was not asked again for a
    /// minute is forgotten.
    fn due(&self, now: Timestamp, at_the_end: bool) -> Vec<Entry> {
        let is_over = |minute: &Minute| {
            at_the_end || minute.since.checked_add(Self::MINUTE).is_ok_and(|end| end <= now)
        };
        let mut due = Vec::new();
        let mut counted = self.counted();
        let mut keep = |minute: &mut Minute, alike| {
            if !is_over(minute) {
                return true;
            }
            minute.since = now;
            let told = minute.told(alike);
            let goes_on = told.is_some();
            due.extend(told);
            goes_on
        };
        counted.kinds.retain(|_, minute| keep(minute, Alike::Kind));
        counted.principals.retain(|_, minute| keep(minute, Alike::Principal));
        if let Some(others) = &mut counted.others
            && !keep(others, Alike::Nothing)
        {
            counted.others = None;
        }
        due
    }

    /// Whether nothing waits to be told.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        let counted = self.counted();
        counted.kinds.is_empty() && counted.principals.is_empty() && counted.others.is_none()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Logs a refusal, or counts it. `nearest` tells what was missing, where no rule has spoken: it is not asked for what is only counted.
    pub(super) fn refused(&self, refusal: Entry, nearest: impl FnOnce() -> Vec<Missing>) {
        if let Some(mut first) = self.refusals.note(refusal) {
            if first.rule().is_none()
                && let Event::Refusal { missing, .. } = &mut first.event
            {
                *missing = nearest();
            }
            let operation = first.operation.map(tracing::field::display);
            tracing::info!(principal = first.principal, operation, rule = first.rule(), "refused by policy");
            self.log.offer(first);
        }
    }

    /// Logs an export before it begins, or counts it.
    ///
    /// # Errors
    /// Where it can not be logged.
    pub(super) async fn is_exported(&self, export: Entry) -> Result<(), LogError> {
        match self.readings.note(export) {
            Some(first) => self.log.append(vec![first]).await.map(drop),
            None => Ok(()),
        }
    }

    /// Logs a reading, or counts it.
    pub(super) fn was_read(&self, reading: Entry) {
        if let Some(first) = self.readings.note(reading) {
            self.log.offer(first);
        }
    }

    /// Logs what has been counted of refusals and readings, now and again until `stopped`, and then what is left. It counts
    /// by the service's clock.
    pub async fn log_repeats_until(&self, stopped: CancellationToken) {
        loop {
            let at_the_end = stopped.run_until_cancelled(tokio::time::sleep(Repeats::PAUSE)).await.is_none();
            for repeats in [&self.refusals, &self.readings] {
                self.log_repeats(repeats.due(self.clock.now(), at_the_end)).await;
            }
            if at_the_end {
                return;
            }
        }
    }

    async fn log_repeats(&self, entries: Vec<Entry>) {
        for some in entries.chunks(REPEATS_AT_ONCE) {
            for entry in some {
                let Event::Refusal { count, alike, .. } = entry.event else { continue };
                let operation = entry.operation.map(tracing::field::display);
                tracing::info!(
                    principal = entry.principal,
                    operation,
                    rule = entry.rule(),
                    count,
                    ?alike,
                    "refused by policy again"
                );
            }
            if let Err(error) = self.log.append(some.to_vec()).await {
                let count = some.iter().map(Entry::refusals).sum();
                let others = some.iter().filter(|entry| entry.refusals() == 0).count() as u64;
                tracing::error!(%error, count, others, "refusals and readings could not be logged");
                self.metrics.refusals_dropped(count);
                self.metrics.offers_dropped(others);
            }
        }
    }
}

/// Entries of one commit: who signs does not wait for thousands.
const REPEATS_AT_ONCE: usize = 256;

impl Kind {
    fn of(entry: &Entry) -> Self {
        let mut query = match &entry.event {
            Event::Read { query, .. } | Event::Export { query, .. } => query.clone(),
            _ => BTreeMap::new(),
        };
        query.retain(|name, _| !Repeats::PAGES.contains(&name.as_str()));
        Self {
            principal: entry.principal.clone(),
            operation: entry.operation,
            repository: entry.repository().cloned(),
            key: entry.key().cloned(),
            rule: entry.rule().map(str::to_owned),
            query,
        }
    }
}

impl Minute {
    const fn at(since: Timestamp) -> Self {
        Self { since, at_once: 0, count: 0, last: None }
    }

    fn note(&mut self, entry: Entry, at_once: u8) -> Option<Entry> {
        if self.at_once < at_once {
            self.at_once += 1;
            return Some(entry);
        }
        self.count += 1;
        self.last = Some(entry);
        None
    }

    /// The entry about what came after the first ones, where something did.
    fn told(&mut self, alike: Alike) -> Option<Entry> {
        let mut entry = self.last.take()?;
        let told = std::mem::take(&mut self.count);
        if let Event::Refusal { count, alike: entry_alike, .. }
        | Event::Read { count, alike: entry_alike, .. }
        | Event::Export { count, alike: entry_alike, .. } = &mut entry.event
        {
            *count = NonZeroU64::new(told).unwrap_or(NonZeroU64::MIN);
            *entry_alike = alike;
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Digest, IdSource as _, MatchedClaims, Principal, RandomIds, Ruling, Subject};

    fn refusal(second: i64, principal: &str, repository: &str) -> Entry {
        let subject = Subject {
            repository: Some(format!("registry.example.com/{repository}").parse().unwrap()),
            digest: Digest::of(second.to_string().as_bytes()),
        };
        Entry::new(
            at(second),
            RandomIds.request_id(),
            &Principal::Token { name: principal.to_owned() },
            Operation::Sign,
            Some(subject),
            Ruling { rule: None, policy: Digest::of(b"policy"), claims: MatchedClaims::new().into() },
            Event::refusal(None, Vec::new()),
        )
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What an entry counts, and of what.
    fn told(entry: &Entry) -> (u64, Alike) {
        match entry.event {
            Event::Refusal { count, alike, .. } => (count.get(), alike),
            _ => panic!("{entry:?}"),
        }
    }

    #[test]
    fn the_first_of_a_kind_are_told_at_once_and_the_others_once_a_minute() {
        let refusals = Repeats::of_refusals();
        for _ in 0..Repeats::REFUSALS_AT_ONCE {
            assert_eq!(told(&refusals.note(refusal(0, "ci", "a")).unwrap()), (1, Alike::Kind));
        }
        assert!(refusals.note(refusal(1, "ci", "b")).is_some(), "another repository is another kind");
        assert!(refusals.note(refusal(1, "night", "a")).is_some(), "another principal, too");
        for second in 1..=50 {
            assert!(refusals.note(refusal(second, "ci", "a")).is_none());
        }
        assert!(refusals.due(at(59), false).is_empty());
        let due = refusals.due(at(60), false);
        assert_eq!(due.iter().map(told).collect::<Vec<_>>(), [(50, Alike::Kind)]);
        assert_eq!(due[0].subject.as_ref().unwrap().digest, Digest::of(b"50"), "it is the last one");

        // The flood goes on: one entry a minute.
        assert!(refusals.note(refusal(61, "ci", "a")).is_none());
        assert!(refusals.due(at(90), false).is_empty());
        assert_eq!(refusals.due(at(120), false).iter().map(told).collect::<Vec<_>>(), [(1, Alike::Kind)]);
        // It has ended, and what comes later is told at once.
        assert!(refusals.due(at(180), false).is_empty());
        assert!(refusals.is_empty());
        assert!(refusals.note(refusal(181, "ci", "a")).is_some());
    }

    #[test]
    fn at_the_end_everything_is_told() {
        let refusals = Repeats::of_refusals();
        for second in 0..i64::from(Repeats::REFUSALS_AT_ONCE) + 2 {
            refusals.note(refusal(second, "ci", "a"));
        }
        assert_eq!(refusals.due(at(9), true).iter().map(told).collect::<Vec<_>>(), [(2, Alike::Kind)]);
        assert!(refusals.due(at(10), true).is_empty());
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_the_counts_add_up() {
        let refusals = Repeats::of_refusals();
        let (mut sum, mut entries) = (0, Vec::new());
        // Repositories of one caller, who is told apart from the others that follow, and from many more.
        for number in 0..5000 {
            entries.extend(refusals.note(refusal(0, "flood", &number.to_string())));
            entries.extend(refusals.note(refusal(0, &format!("caller-{number}"), "a")));
            sum += 2;
        }
        let counted = refusals.counted();
        assert!(counted.kinds.len() == Repeats::KINDS && counted.principals.len() == Repeats::KINDS);
        drop(counted);
        entries.extend(refusals.due(at(60), false));
        assert_eq!(entries.iter().map(Entry::refusals).sum::<u64>(), sum);
        assert!(
            entries.len() <= 2 * Repeats::KINDS + 2 * usize::from(Repeats::REFUSALS_AT_ONCE) + 3,
            "{}",
            entries.len()
        );
        for alike in [Alike::Principal, Alike::Nothing] {
            assert!(entries.iter().any(|entry| told(entry).1 == alike), "{alike:?}");
        }
    }

    #[test]
    fn the_pages_of_a_walk_are_one_entry_and_those_that_follow_are_counted() {
        let readings = Repeats::of_readings();
        let page = |second, principal: &str, query: &[(&str, &str)]| {
            let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Entry { event: Event::read(query), ..refusal(second, principal, "a") }
        };
        assert!(readings.note(page(0, "auditor", &[("kind", "outcome")])).is_some());
        for after in 0..40 {
            let after = after.to_string();
            let query = [("kind", "outcome"), ("after", after.as_str()), ("size", "4000"), ("limit", "100")];
            assert!(readings.note(page(1, "auditor", &query)).is_none());
        }
        assert!(readings.note(page(1, "auditor", &[("kind", "intent")])).is_some(), "another question");
        assert!(readings.note(page(1, "boss", &[("kind", "outcome")])).is_some(), "another reader");
        let due = readings.due(at(60), false);
        let [Entry { event: Event::Read { query, count, alike }, .. }] = &due[..] else { panic!("{due:?}") };
        assert_eq!((count.get(), *alike, query["after"].as_str()), (40, Alike::Kind, "39"));
    }
}
