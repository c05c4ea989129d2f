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
use crate::ports::{EntryPage, EntryQuery, LoggedEntry, Order};
use crate::service::Caller;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParameters {
    /// `newest` or `oldest`: which entries come first. Default: `oldest`.
    order: Option<String>,
    /// Entries after this index; with the oldest first.
    after: Option<u64>,
    /// Entries below this index; with the newest first.
    before: Option<u64>,
    /// The log's size that the pages speak of; `next` has it.
    size: Option<u64>,
    /// Entries of a page, 1 to 1000. Default: 100.
    limit: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub struct EntryPageBody {
    /// In the order that was asked for. May be fewer than asked for, also none, where there is a next page: a page searches for a bounded
    /// time, and with the newest first not before all entries below `size` can be found.
    entries: Vec<EntryBody>,
    /// The size of the log.
    log_size: u64,
    /// The pages speak of the entries below this index: as far as the first page could search.
    size: u64,
    /// Every entry up to this index can be found now. None while the log is empty.
    indexed_through: Option<u64>,
    /// Every entry up to this index was searched, by this page and those before; with the newest first, every entry from `searched_from`
    /// to this index, which is the last below `size`. None while there is none.
    searched_through: Option<u64>,
    /// With the newest first: every entry from this index to `searched_through` was searched, by this page and those before. None while
    /// there is none, and with the oldest first.
    searched_from: Option<u64>,
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
    question.extend(other.order.clone().map(|order| ("order".to_owned(), order)));
    let (order, limit) = (other.order()?, limit(other.limit)?);
    let PageParameters { after, before, size, .. } = other;
    let query = EntryQuery { filter, order, after, before, size, limit };
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let asking = async move { service.log_entries(&caller, query).await };
    let page = state.admission.run(&principal, asking).await??;
    Ok(Json(body(question, order, page)?))
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

impl PageParameters {
    /// # Errors
    /// Names the parameter that can not be meant, also the place of a page of the other order.
    fn order(&self) -> Result<Order, Problem> {
        let order = match self.order.as_deref() {
            None | Some("oldest") => Order::OldestFirst,
            Some("newest") => Order::NewestFirst,
            Some(_) => return Err(Problem::invalid("`order` is `oldest` or `newest`.")),
        };
        match order {
            Order::OldestFirst if self.before.is_some() => Err(Problem::invalid(
                "`before` says where a page begins that has the newest first: ask with `order=newest`, or with `after`.",
            )),
            Order::NewestFirst if self.after.is_some() => Err(Problem::invalid(
                "`after` says where a page begins that has the oldest first: with `order=newest`, ask with `before`.",
            )),
            order => Ok(order),
        }
    }
}

fn body(question: BTreeMap<String, String>, order: Order, page: EntryPage) -> Result<EntryPageBody, Problem> {
    let EntryPage { entries, size, next, progress } = page;
    let (searched_from, searched_through) = match order {
        Order::OldestFirst => (None, next.unwrap_or(size).checked_sub(1)),
        Order::NewestFirst => {
            let from = Some(next.unwrap_or(0)).filter(|from| *from < size);
            (from, from.and(size.checked_sub(1)))
        }
    };
    let next = next.map(|next| {
        let place = match order {
            Order::OldestFirst => next.checked_sub(1).map(|after| ("after", after)),
            Order::NewestFirst => Some(("before", next)),
        };
        next_page("/v1/log/entries", question, place.into_iter().chain([("size", size)]))
    });
    let entries = entries.into_iter().map(entry_body).collect::<Result<_, _>>()?;
    Ok(EntryPageBody {
        entries,
        log_size: progress.log_size,
        size,
        indexed_through: indexed_through(progress),
        searched_through,
        searched_from,
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
