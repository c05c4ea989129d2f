//! The log at a glance: what happened in the last days, and what needs somebody.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::Timestamp;
use crate::ports::{
    CountQuery, Counted, EntryQuery, Grouping, ListedSignature, PolicyState, SearchProgress, SignatureFilter,
    SignatureQuery, SignatureState, SignedCheckpoint,
};
use crate::service::{Caller, Service, ServiceError};

/// The last days of the log.
#[derive(Debug, Clone)]
pub struct Overview {
    pub now: Timestamp,
    /// Every day of the period, the oldest first.
    pub days: Vec<Day>,
    /// Repositories with the most entries in the period.
    pub repositories: Vec<Counted>,
    /// Signatures that need somebody, by what is wrong with them, and whether there are more.
    pub troubled: Vec<(SignatureState, Vec<ListedSignature>, bool)>,
    /// What is pending for longer than this moment will have no outcome.
    pub indeterminate_before: Timestamp,
    pub progress: SearchProgress,
    pub checkpoint: Option<Arc<SignedCheckpoint>>,
    /// When the newest entry that the checkpoint covers was written.
    pub covered_until: Option<Timestamp>,
    /// When the oldest entry was written that it does not cover yet.
    pub waiting_since: Option<Timestamp>,
    pub policy: PolicyState,
    /// Whether the reader may see the whole log; else all of this is of a part.
    pub is_whole: bool,
    /// Whether Vault would sign; else a code.
    pub signer: Result<(), &'static str>,
}

/// One day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    pub date: Date,
    /// Signatures that were made.
    pub signatures: u64,
    /// Entries about refusals.
    pub refusals: u64,
    /// Signatures that were asked for on this day and were not made, or given up.
    pub failures: u64,
}

/// Signatures of one trouble that are listed.
const TROUBLED: usize = 100;

/// Repositories that are named.
const TOP: usize = 10;

const SECONDS_OF_A_DAY: i64 = 24 * 3600;

impl Service {
    /// The last `days` days, today among them, for those who may read the log.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], and where the log can not be read.
    pub async fn overview(&self, caller: &Caller, days: u16) -> Result<Overview, ServiceError> {
        let asked = [("resource", "overview".to_owned()), ("days", days.to_string())];
        let reach =
            self.permit_reading(caller, asked.map(|(name, value)| (name.to_owned(), value)).into())?;
        let now = self.clock.now();
        let today = now.as_second().div_euclid(SECONDS_OF_A_DAY);
        let first = today - i64::from(days.max(1)) + 1;
        let begin = Timestamp::from_second(first * SECONDS_OF_A_DAY).unwrap_or_default();

        let outcomes = self.search.counts(by_day("outcome", first), reach.clone());
        let refusals = self.search.counts(by_day("refusal", first), reach.clone());
        let by_repository = CountQuery { by: Grouping::Repository, top: TOP + 1, ..by_day("outcome", first) };
        let repositories = self.search.counts(by_repository, reach.clone());
        // All at once: where little is in memory, each waits for the disk.
        let troubled = futures::future::try_join_all(TROUBLES.map(async |(state, since)| {
            let from = since.then_some(begin);
            let filter = SignatureFilter { state: Some(state), from, ..SignatureFilter::default() };
            let query = SignatureQuery { filter, limit: TROUBLED, ..SignatureQuery::default() };
            let page = self.search.signatures(query, reach.clone()).await?;
            Ok((state, page.signatures, page.next.is_some()))
        }));
        let (outcomes, refusals, repositories, troubled) =
            tokio::try_join!(outcomes, refusals, repositories, troubled)?;
        let checkpoint = self.transparency.checkpoint().await?;
        let covered = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.head.size);
        let newest = async {
            match covered.checked_sub(1) {
                Some(newest) => self.time_of(newest).await,
                None => Ok(None),
            }
        };
        let (covered_until, waiting_since) = tokio::try_join!(newest, self.time_of(covered))?;
        let signer = self.signer.ready().await.map_err(|error| ServiceError::from(error).code());
        Ok(Overview {
            now,
            days: table(first..=today, &outcomes.groups, &refusals.groups, &troubled),
            repositories: repositories
                .groups
                .into_iter()
                .filter(|one| !one.group.is_empty())
                .take(TOP)
                .collect(),
            troubled,
            indeterminate_before: now.checked_sub(self.longest_request).unwrap_or(now),
            progress: outcomes.progress,
            checkpoint,
            covered_until,
            waiting_since,
            policy: self.policy.state(),
            is_whole: reach.is_whole(),
            signer,
        })
    }

    /// When an entry was written; none where there is none.
    async fn time_of(&self, index: u64) -> Result<Option<Timestamp>, ServiceError> {
        let Some(logged) = self.log.entry(index).await? else { return Ok(None) };
        Ok(Some(logged.entry()?.time))
    }
}

/// What needs somebody, and whether only that of the period is asked for: the rest needs somebody however old it is.
const TROUBLES: [(SignatureState, bool); 5] = [
    (SignatureState::Pending, false),
    (SignatureState::Signed, false),
    (SignatureState::Missing, false),
    (SignatureState::GivenUp, true),
    (SignatureState::Failed, true),
];

/// Every one of `days`, counted from 1970, with what happened on it.
fn table(
    days: RangeInclusive<i64>,
    outcomes: &[Counted],
    refusals: &[Counted],
    troubled: &[(SignatureState, Vec<ListedSignature>, bool)],
) -> Vec<Day> {
    let date = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
    let dates = days.map(|day| date(Timestamp::from_second(day * SECONDS_OF_A_DAY).unwrap_or_default()));
    let none = |date| Day { date, signatures: 0, refusals: 0, failures: 0 };
    let mut table: BTreeMap<Date, Day> = dates.map(|date| (date, none(date))).collect();
    let of_day = |counted: &Counted| counted.group.parse::<Date>().ok();
    for counted in outcomes {
        if let Some(day) = of_day(counted).and_then(|date| table.get_mut(&date)) {
            day.signatures = counted.entries;
        }
    }
    for counted in refusals {
        if let Some(day) = of_day(counted).and_then(|date| table.get_mut(&date)) {
            day.refusals = counted.entries;
        }
    }
    for (state, signatures, _) in troubled {
        for signature in signatures {
            let Some(day) = table.get_mut(&date(signature.time)) else { continue };
            match state {
                SignatureState::Failed => {
                    day.failures += 1;
                    // Its outcome was counted, and is no signature.
                    day.signatures = day.signatures.saturating_sub(1);
                }
                SignatureState::GivenUp => day.failures += 1,
                _ => {}
            }
        }
    }
    table.into_values().collect()
}

fn by_day(kind: &str, first: i64) -> CountQuery {
    CountQuery {
        by: Grouping::Day,
        of: None,
        kind: Some(kind.to_owned()),
        denied: None,
        from: Some(first),
        to: None,
        top: usize::MAX,
    }
}

/// No page asks for more.
const _: () = assert!(TROUBLED <= EntryQuery::MAX_LIMIT);
