//! `/v1/log/entries`: what auditors ask.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::filter::{Asked, FilterParameters};
use super::parameters::{indexed_through, limit, next_page};
use crate::http::ApiState;
use crate::http::path::Path;
use crate::http::problem::{Problem, ProblemBody};
use crate::ports::{EntryPage, EntryQuery, LoggedEntry};
use crate::service::Caller;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParameters {
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
#[utoipa::path(get, path = "/v1/log/entries", tag = "log", security(("bearer" = [])), params(FilterParameters, PageParameters), responses(
    (status = 200, body = EntryPageBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Asked { filter, other }: Asked<PageParameters>,
) -> Result<Json<EntryPageBody>, Problem> {
    let filter = filter.read()?;
    let mut question = filter.words();
    question.extend(other.limit.map(|limit| ("limit".to_owned(), limit.to_string())));
    let limit = limit(other.limit)?;
    let query = EntryQuery { filter, after: other.after, size: other.size, limit };
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let asking = async move { service.log_entries(&caller, query).await };
    let page = state.admission.run(&principal, asking).await??;
    Ok(Json(body(question, page)?))
}

/// One entry, in the exact bytes that the log keeps
///
/// An entry that the caller may not see is answered as one that is not there.
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
        None => Err(Problem::not_found("There is no entry of this index that you may see.")),
    }
}

fn body(question: BTreeMap<String, String>, page: EntryPage) -> Result<EntryPageBody, Problem> {
    let EntryPage { entries, size, next, progress } = page;
    let searched = next.unwrap_or(size);
    let next = next.map(|next| {
        let after = next.checked_sub(1).map(|after| ("after", after));
        next_page("/v1/log/entries", question, after.into_iter().chain([("size", size)]))
    });
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
