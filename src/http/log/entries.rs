//! `/v1/log/entries`: what auditors ask.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::parameters::{
    denied, indexed_through, kind, limit, next_page, operation, period, query, read_as, repository, text,
};
use crate::domain::EntryFilter;
use crate::http::ApiState;
use crate::http::path::Path;
use crate::http::problem::{Problem, ProblemBody};
use crate::ports::{EntryPage, EntryQuery, LoggedEntry};
use crate::service::Caller;

/// Conditions, combined with "and".
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntryParameters {
    /// `sha256:…` of the image.
    digest: Option<String>,
    /// With its host: `registry.example.com/team/app`. `*` stands for any characters of one part, `**` for any parts.
    repository: Option<String>,
    /// As entries name it: `token:ci`.
    principal: Option<String>,
    key: Option<String>,
    key_version: Option<u32>,
    /// `intent`, `outcome`, `attach`, `adopted`, `refusal` and others: what the entry tells of.
    kind: Option<String>,
    /// `sign`, `attest`, `blob`, `verify`, `log.read` or `policy.explain`.
    operation: Option<String>,
    /// The id of the rule that decided.
    rule: Option<String>,
    /// The name of one request.
    request_id: Option<String>,
    /// `allow` or `deny`.
    decision: Option<String>,
    /// At this moment or later, RFC 3339.
    from: Option<String>,
    /// Before this moment, RFC 3339.
    to: Option<String>,
    /// Entries after this index.
    after: Option<u64>,
    /// The log's size that the pages speak of; `next` has it.
    size: Option<u64>,
    /// Entries of a page, 1 to 1000. Default: 100.
    limit: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub struct EntryPageBody {
    /// May be fewer than asked for, also none, where there is a next page: a page searches for a bounded time.
    entries: Vec<EntryBody>,
    /// The size of the log.
    log_size: u64,
    /// The pages speak of the entries below this index: as far as the first page could search.
    size: u64,
    /// Every entry up to this index can be found now. None while the log is empty.
    indexed_through: Option<u64>,
    /// Every entry up to this index was searched, by this page and those before. None while there is none.
    searched_through: Option<u64>,
    /// Where the next page is; none behind the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct EntryBody {
    index: u64,
    /// The entry, in the exact bytes that the log keeps.
    #[schema(value_type = Object)]
    entry: Box<RawValue>,
}

/// Search the log
#[utoipa::path(get, path = "/v1/log/entries", tag = "log", security(("bearer" = [])), params(EntryParameters), responses(
    (status = 200, body = EntryPageBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    parameters: Result<Query<EntryParameters>, QueryRejection>,
) -> Result<Json<EntryPageBody>, Problem> {
    let parameters = query(parameters)?;
    let query = parse(&parameters)?;
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let asking = async move { service.log_entries(&caller, query).await };
    let page = state.admission.run(&principal, asking).await??;
    Ok(Json(body(&parameters, page)?))
}

/// One entry, in the exact bytes that the log keeps
#[utoipa::path(get, path = "/v1/log/entries/{index}", tag = "log", security(("bearer" = [])), params(("index" = u64, Path)), responses(
    (status = 200, body = Object),
    (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn read(
    State(state): State<ApiState>,
    caller: Caller,
    Path(index): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let index = index.parse().map_err(|_| Problem::invalid("An entry's index is a number from 0."))?;
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let asking = async move { service.log_entry(&caller, index).await };
    match state.admission.run(&principal, asking).await?? {
        Some(entry) => Ok(([(CONTENT_TYPE, "application/json")], entry.bytes)),
        None => Err(Problem::not_found("The log is not that long.")),
    }
}

fn parse(parameters: &EntryParameters) -> Result<EntryQuery, Problem> {
    let (from, to) = period(parameters.from.as_ref(), parameters.to.as_ref())?;
    let filter = EntryFilter {
        digest: read_as("digest", parameters.digest.as_ref())?,
        repository: repository(parameters.repository.as_ref())?,
        principal: text("principal", parameters.principal.as_ref())?,
        key: text("key", parameters.key.as_ref())?,
        key_version: parameters.key_version,
        kind: kind(parameters.kind.as_ref())?,
        operation: operation(parameters.operation.as_ref())?,
        rule: text("rule", parameters.rule.as_ref())?,
        request_id: text("request_id", parameters.request_id.as_ref())?,
        denied: denied(parameters.decision.as_ref())?,
        from,
        to,
    };
    let limit = limit(parameters.limit)?;
    Ok(EntryQuery { filter, after: parameters.after, size: parameters.size, limit })
}

fn body(parameters: &EntryParameters, page: EntryPage) -> Result<EntryPageBody, Problem> {
    let EntryPage { entries, size, next, progress } = page;
    let searched = next.unwrap_or(size);
    let next = next.map(|next| next_path(parameters, next, size));
    let entries = entries.into_iter().map(entry_body).collect::<Result<_, _>>()?;
    Ok(EntryPageBody {
        entries,
        log_size: progress.log_size,
        size,
        indexed_through: indexed_through(progress),
        searched_through: searched.checked_sub(1),
        next,
    })
}

fn entry_body(LoggedEntry { index, bytes }: LoggedEntry) -> Result<EntryBody, Problem> {
    let entry = serde_json::from_slice(&bytes).map_err(|error| {
        tracing::error!(%error, index, "an entry of the log is no JSON");
        Problem::internal()
    })?;
    Ok(EntryBody { index, entry })
}

fn next_path(parameters: &EntryParameters, next: u64, size: u64) -> String {
    let EntryParameters {
        digest,
        repository,
        principal,
        key,
        key_version,
        kind,
        operation,
        rule,
        request_id,
        decision,
        from,
        to,
        after: _,
        size: _,
        limit,
    } = parameters;
    let question = [
        ("digest", digest.clone()),
        ("repository", repository.clone()),
        ("principal", principal.clone()),
        ("key", key.clone()),
        ("key_version", key_version.map(|version| version.to_string())),
        ("kind", kind.clone()),
        ("operation", operation.clone()),
        ("rule", rule.clone()),
        ("request_id", request_id.clone()),
        ("decision", decision.clone()),
        ("from", from.clone()),
        ("to", to.clone()),
        ("limit", limit.map(|limit| limit.to_string())),
    ];
    let place = next.checked_sub(1).map(|after| ("after", after));
    let place: Vec<_> = place.into_iter().chain([("size", size)]).collect();
    next_page("/v1/log/entries", &question, &place)
}
