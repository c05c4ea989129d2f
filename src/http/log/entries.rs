//! `/v1/log/entries`: what auditors ask.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::domain::{Entry, EntryFilter, Pattern};
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
    /// With its host: `registry.example.com/team/app`.
    repository: Option<String>,
    /// As entries name it: `token:ci`.
    principal: Option<String>,
    key: Option<String>,
    key_version: Option<u32>,
    /// `intent`, `outcome`, `attach`, `adopted`, `refusal` and others: what the entry tells of.
    kind: Option<String>,
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
    entries: Vec<EntryBody>,
    /// The size of the log that the answer speaks of.
    log_size: u64,
    /// Every entry up to this index was searched. None while the log is empty.
    indexed_through: Option<u64>,
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
    let Query(parameters) = parameters.map_err(|rejection| {
        Problem::invalid(format!("The query can not be read: {}.", rejection.body_text()))
    })?;
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

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

fn parse(parameters: &EntryParameters) -> Result<EntryQuery, Problem> {
    let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid(format!("`limit` is a number from 1 to {MAX_LIMIT}.")));
    }
    if let Some(kind) = &parameters.kind
        && !Entry::KINDS.contains(&kind.as_str())
    {
        return Err(Problem::invalid(format!("`kind` is one of {}.", Entry::KINDS.join(", "))));
    }
    let denied = match parameters.decision.as_deref() {
        None => None,
        Some("allow") => Some(false),
        Some("deny") => Some(true),
        Some(_) => return Err(Problem::invalid("`decision` is `allow` or `deny`.")),
    };
    let repository = parameters.repository.as_deref().map(Pattern::of_repositories).transpose();
    let filter = EntryFilter {
        digest: read_as("digest", parameters.digest.as_ref())?,
        repository: repository.map_err(|error| Problem::invalid(format!("`repository`: {error}.")))?,
        principal: parameters.principal.clone(),
        key: parameters.key.clone(),
        key_version: parameters.key_version,
        kind: parameters.kind.clone(),
        denied,
        from: read_as("from", parameters.from.as_ref())?,
        to: read_as("to", parameters.to.as_ref())?,
        ..EntryFilter::default()
    };
    Ok(EntryQuery { filter, after: parameters.after, size: parameters.size, limit })
}

fn read_as<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<&String>,
) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|error| Problem::invalid(format!("`{name}`: {error}.")))).transpose()
}

fn body(parameters: &EntryParameters, page: EntryPage) -> Result<EntryPageBody, Problem> {
    let next = match page.entries.last() {
        Some(last) if page.more => Some(next_page(parameters, last.index, page.size)),
        _ => None,
    };
    let entries = page.entries.into_iter().map(entry_body).collect::<Result<_, _>>()?;
    Ok(EntryPageBody { entries, log_size: page.size, indexed_through: page.size.checked_sub(1), next })
}

fn entry_body(LoggedEntry { index, bytes }: LoggedEntry) -> Result<EntryBody, Problem> {
    let entry = serde_json::from_slice(&bytes).map_err(|error| {
        tracing::error!(%error, index, "an entry of the log is no JSON");
        Problem::internal()
    })?;
    Ok(EntryBody { index, entry })
}

/// The same question about what follows `after`, of a log of the same size.
fn next_page(parameters: &EntryParameters, after: u64, size: u64) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let texts = [
        ("digest", &parameters.digest),
        ("repository", &parameters.repository),
        ("principal", &parameters.principal),
        ("key", &parameters.key),
        ("kind", &parameters.kind),
        ("decision", &parameters.decision),
        ("from", &parameters.from),
        ("to", &parameters.to),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    if let Some(version) = parameters.key_version {
        query.append_pair("key_version", &version.to_string());
    }
    if let Some(limit) = parameters.limit {
        query.append_pair("limit", &limit.to_string());
    }
    let mut path = format!("/v1/log/entries?{}", query.finish());
    let separator = if path.ends_with('?') { "" } else { "&" };
    let _ = write!(path, "{separator}after={after}&size={size}");
    path
}
