//! `/v1/log/counts`: how many entries there are of what.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::parameters::{asked, denied, indexed_through, kind, operation, period, query, repository, text};
use crate::domain::Timestamp;
use crate::http::ApiState;
use crate::http::problem::{Problem, ProblemBody};
use crate::ports::{CountQuery, Counted, CountedOf, Grouping};
use crate::service::Caller;

/// What is counted, and of which entries. Entries are counted of one repository (or pattern), principal, key, operation or rule
/// at once, and then by that, by day, month, kind or decision.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CountParameters {
    /// `month` (default), `day`, `repository`, `principal`, `key` (with its version), `kind`, `operation`, `decision` or `rule`.
    by: Option<String>,
    /// With its host: `registry.example.com/team/app`. `*` stands for any characters of one part, `**` for any parts.
    repository: Option<String>,
    /// As entries name it: `token:ci`.
    principal: Option<String>,
    key: Option<String>,
    /// Of `key`.
    key_version: Option<u32>,
    /// `sign`, `attest`, `blob`, `verify`, `log.read` or `policy.explain`.
    operation: Option<String>,
    /// The id of the rule that decided.
    rule: Option<String>,
    /// `intent`, `outcome`, `attach`, `adopted`, `refusal` and others: what the entries tell of.
    kind: Option<String>,
    /// `allow` or `deny`.
    decision: Option<String>,
    /// From the beginning of a day of UTC: `2026-01-02T00:00:00Z`.
    from: Option<String>,
    /// Before the beginning of a day of UTC: `2026-02-01T00:00:00Z`.
    to: Option<String>,
    /// The largest groups, 1 to 1000. Default: 100; days and months: all.
    top: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub struct CountsBody {
    /// Days and months in their order, and without those that have no entries; other groups the largest first.
    groups: Vec<CountedBody>,
    /// Entries of all groups, also of those that are not named.
    entries: u64,
    /// The size of the log.
    log_size: u64,
    /// Every entry up to this index is counted. None while the log is empty.
    indexed_through: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub struct CountedBody {
    /// What its entries have in common; none for those that have nothing there.
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_version: Option<u32>,
    entries: u64,
}

/// How many entries there are of what
///
/// Who may read a part of the log is told of that part, by `repository`, `day`, `month`, `kind` or `decision`, of one `repository` or all.
#[utoipa::path(get, path = "/v1/log/counts", tag = "log", security(("bearer" = [])), params(CountParameters), responses(
    (status = 200, body = CountsBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn count(
    State(state): State<ApiState>,
    caller: Caller,
    uri: Uri,
    parameters: Result<Query<CountParameters>, QueryRejection>,
) -> Result<Json<CountsBody>, Problem> {
    let query = parse(&query(parameters)?)?;
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let asking = async move { service.log_counts(&caller, asked("counts", &uri), query).await };
    let counts = state.admission.run(&principal, asking).await??;
    Ok(Json(CountsBody {
        groups: counts.groups.into_iter().map(body).collect(),
        entries: counts.entries,
        log_size: counts.progress.log_size,
        indexed_through: indexed_through(counts.progress),
    }))
}

const GROUPINGS: [(&str, Grouping); 9] = [
    ("day", Grouping::Day),
    ("month", Grouping::Month),
    ("repository", Grouping::Repository),
    ("principal", Grouping::Principal),
    ("key", Grouping::Key),
    ("kind", Grouping::Kind),
    ("operation", Grouping::Operation),
    ("decision", Grouping::Decision),
    ("rule", Grouping::Rule),
];

const MAX_TOP: usize = 1000;
const DEFAULT_TOP: usize = 100;

/// Days of one answer: three years.
const MAX_DAYS: i64 = 1100;

const SECONDS_OF_A_DAY: i64 = 24 * 3600;

fn parse(parameters: &CountParameters) -> Result<CountQuery, Problem> {
    let by = parameters.by.as_deref().unwrap_or("month");
    let by = GROUPINGS.iter().find(|(name, _)| *name == by).map(|(_, by)| *by);
    let by = by.ok_or_else(|| {
        Problem::invalid(format!("`by` is one of {}.", GROUPINGS.map(|(name, _)| name).join(", ")))
    })?;
    let of = of(parameters)?;
    if let Some(of) = &of
        && !by.goes_with(of)
    {
        return Err(Problem::invalid(
            "Entries of one repository, principal, key, operation or rule are counted by that, by `day`, `month`, `kind` or `decision`. For anything else, search the entries.",
        ));
    }
    let (from, to) = period(parameters.from.as_ref(), parameters.to.as_ref())?;
    let (from, to) = (day("from", from)?, day("to", to)?);
    let is_long = from.zip(to).is_none_or(|(from, to)| to - from > MAX_DAYS);
    if by == Grouping::Day && is_long {
        let most = format!(
            "Counts by day are of at most {MAX_DAYS} days: set `from` and `to`, or count by `month`."
        );
        return Err(Problem::invalid(most));
    }
    let is_time = matches!(by, Grouping::Day | Grouping::Month);
    let top = match parameters.top {
        None if is_time => usize::MAX,
        None => DEFAULT_TOP,
        Some(top) if (1..=MAX_TOP).contains(&top) => top,
        Some(_) => return Err(Problem::invalid(format!("`top` is a number from 1 to {MAX_TOP}."))),
    };
    let denied = denied(parameters.decision.as_ref())?;
    Ok(CountQuery { by, of, kind: kind(parameters.kind.as_ref())?, denied, from, to, top })
}

/// The one condition that is neither a time nor a kind.
fn of(parameters: &CountParameters) -> Result<Option<CountedOf>, Problem> {
    let key = match (text("key", parameters.key.as_ref())?, parameters.key_version) {
        (Some(name), version) => Some(CountedOf::Key { name, version }),
        (None, None) => None,
        (None, Some(_)) => return Err(Problem::invalid("Name the `key` that `key_version` is of.")),
    };
    let of = [
        repository(parameters.repository.as_ref())?.map(CountedOf::Repository),
        text("principal", parameters.principal.as_ref())?.map(CountedOf::Principal),
        key,
        operation(parameters.operation.as_ref())?.map(CountedOf::Operation),
        text("rule", parameters.rule.as_ref())?.map(CountedOf::Rule),
    ];
    let mut of = of.into_iter().flatten();
    match (of.next(), of.next()) {
        (of, None) => Ok(of),
        _ => Err(Problem::invalid(
            "Entries are counted of one repository (or pattern), principal, key, operation or rule at once. For more conditions, search the entries.",
        )),
    }
}

/// The day that begins at that moment, counted from 1970.
fn day(name: &str, moment: Option<Timestamp>) -> Result<Option<i64>, Problem> {
    let Some(moment) = moment else { return Ok(None) };
    if moment.subsec_nanosecond() != 0 || moment.as_second().rem_euclid(SECONDS_OF_A_DAY) != 0 {
        return Err(Problem::invalid(format!(
            "`{name}`: entries are counted by day; give the beginning of a day of UTC, as in `2026-01-02T00:00:00Z`."
        )));
    }
    Ok(Some(moment.as_second().div_euclid(SECONDS_OF_A_DAY)))
}

fn body(Counted { group, key_version, entries }: Counted) -> CountedBody {
    CountedBody { group: Some(group).filter(|group| !group.is_empty()), key_version, entries }
}
