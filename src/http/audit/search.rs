//! `/audit/search` and `/audit/refusals`: entries of the log, page by page.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::asked::{Meaning, NotUnderstood};
use super::page::{Frame, Section, html_with};
use super::parts::{complete, link, plain};
use super::session::{Turned, Viewer};
use super::told::Told;
use crate::domain::{Entry, EntryFilter, Event, Operation};
use crate::http::ApiState;
use crate::http::log::filter::FilterParameters;
use crate::http::problem::Problem;
use crate::ports::{EntryPage, EntryQuery, LoggedEntry, Order};

/// What is looked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SearchParameters {
    /// The line of the search box.
    q: String,
    kind: String,
    decision: String,
    operation: String,
    /// A day, from its beginning on; or a moment, RFC 3339.
    from: String,
    /// A day, with all of it; or a moment before which.
    to: String,
    /// Of the page: the index below which it begins, and the log's size that all pages speak of.
    page: Option<u64>,
    size: Option<u64>,
}

impl SearchParameters {
    /// What was chosen, by name, without the place of the page.
    fn words(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Self { q, kind, decision, operation, from, to, page: _, size: _ } = self;
        let words = [
            ("q", q),
            ("kind", kind),
            ("decision", decision),
            ("operation", operation),
            ("from", from),
            ("to", to),
        ];
        let words = words.map(|(name, text)| (name, text.clone()));
        words.into_iter().filter(|(_, text)| !text.is_empty())
    }
}

/// Entries of a page.
const LIMIT: usize = 50;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    asked: SearchParameters,
    /// What the line was taken for.
    meaning: Option<(&'static str, String)>,
    /// What else it could be.
    also: Option<(&'static str, String)>,
    wrong: Option<String>,
    kinds: &'static [&'static str],
    operations: Vec<String>,
    found: Option<FoundEntries>,
}

#[derive(Template)]
#[template(path = "refusals.html")]
struct RefusalsPage {
    frame: Frame,
    asked: SearchParameters,
    meaning: Option<(&'static str, String)>,
    wrong: Option<String>,
    found: Option<FoundEntries>,
}

/// A page of entries, and how it can be asked for elsewhere.
pub struct FoundEntries {
    rows: Vec<Row>,
    /// Entries in a form that this version does not know.
    unreadable: Vec<u64>,
    complete: Complete,
    newest: Option<String>,
    older: Option<String>,
    api: String,
    cli: String,
    csv: String,
    ndjson: String,
}

/// A row, and of a refusal why.
pub struct Row {
    told: Told,
    claims: Vec<(String, String)>,
    missing: Vec<(String, String)>,
    /// Whether it stands for several, of which those before it tell what was missing.
    is_counted: bool,
}

/// How far the answer goes.
pub struct Complete {
    is_complete: bool,
    text: String,
}

pub async fn show(
    State(state): State<ApiState>,
    viewer: Viewer,
    parameters: Result<Query<SearchParameters>, QueryRejection>,
) -> Result<Response, Turned> {
    let asked = address(parameters)?;
    let meaning = understood(&state, &asked.q);
    if let Ok(Meaning::Entry(index)) = meaning {
        return Ok(Redirect::to(&format!("/audit/entries/{index}")).into_response());
    }
    // What has the form of a signature's name is looked up as one first.
    if let Ok(Meaning::Identifier { signature: Some(id), .. }) = meaning
        && state.service.is_readable(&viewer.caller, id).await?
    {
        return Ok(Redirect::to(&format!("/audit/signatures/{id}")).into_response());
    }
    let answer = answer(&state, &viewer, &asked, &meaning, "/audit/search").await?;
    let page = SearchPage {
        frame: Frame::new("Search", Section::Search, Some(&viewer)).with_query(&asked.q),
        meaning: words(&meaning),
        also: also(&asked, &meaning),
        wrong: answer.as_ref().err().cloned(),
        kinds: &Entry::KINDS,
        operations: Operation::ALL.map(|operation| operation.to_string()).to_vec(),
        found: answer.ok(),
        asked,
    };
    Ok(html_with(status(page.wrong.is_some()), &page)?)
}

/// What was refused, to whom, and by which missing condition.
pub async fn refusals(
    State(state): State<ApiState>,
    viewer: Viewer,
    parameters: Result<Query<SearchParameters>, QueryRejection>,
) -> Result<Response, Turned> {
    let mut asked = address(parameters)?;
    (asked.kind, asked.decision) = (String::new(), "deny".to_owned());
    let meaning = understood(&state, &asked.q);
    let answer = answer(&state, &viewer, &asked, &meaning, "/audit/refusals").await?;
    let page = RefusalsPage {
        frame: Frame::new("Refusals", Section::Refusals, Some(&viewer)),
        meaning: words(&meaning),
        wrong: answer.as_ref().err().cloned(),
        found: answer.ok(),
        asked,
    };
    Ok(html_with(status(page.wrong.is_some()), &page)?)
}

/// What an address says behind its `?`.
///
/// # Errors
/// Where it can not be read.
pub(super) fn address<T>(parameters: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let unreadable = |error: QueryRejection| {
        Problem::invalid(format!("The address can not be read: {}.", error.body_text()))
    };
    parameters.map(|Query(parameters)| parameters).map_err(unreadable)
}

const fn status(is_wrong: bool) -> StatusCode {
    if is_wrong { StatusCode::BAD_REQUEST } else { StatusCode::OK }
}

pub(super) fn understood(state: &ApiState, line: &str) -> Result<Meaning, NotUnderstood> {
    Meaning::of(line, &state.service.signer.names())
}

fn words(meaning: &Result<Meaning, NotUnderstood>) -> Option<(&'static str, String)> {
    let (what, of) = meaning.as_ref().ok()?.words()?;
    Some((what, plain(&of)))
}

/// A key's name may be a request's, too.
fn also(
    asked: &SearchParameters,
    meaning: &Result<Meaning, NotUnderstood>,
) -> Option<(&'static str, String)> {
    let line = asked.q.trim();
    match meaning {
        Ok(Meaning::Identifier { .. }) if !line.contains(':') => {
            Some(("the rule", link("/audit/search", [("q", format!("rule:{line}"))])))
        }
        Ok(Meaning::Key { version: None, .. }) if !line.contains(':') => {
            Some(("the request", link("/audit/search", [("q", format!("request:{line}"))])))
        }
        _ => None,
    }
}

/// Entries that meet the question, or what is wrong with it.
async fn answer(
    state: &ApiState,
    viewer: &Viewer,
    asked: &SearchParameters,
    meaning: &Result<Meaning, NotUnderstood>,
    path: &str,
) -> Result<Result<FoundEntries, String>, Problem> {
    let meaning = match meaning {
        Ok(meaning) => meaning,
        Err(NotUnderstood(why)) => return Ok(Err(why.clone())),
    };
    let filter = match filter(asked, meaning) {
        Ok(filter) => filter,
        Err(problem) => return Ok(Err(plain(problem.detail()))),
    };
    let query = EntryQuery {
        filter: filter.clone(),
        order: Order::NewestFirst,
        after: None,
        before: asked.page,
        size: asked.size,
        limit: LIMIT,
    };
    let page = viewer
        .ask(state, move |service, caller| async move { service.log_entries(&caller, query).await })
        .await?;
    Ok(Ok(found(state, asked, &filter, page, path)))
}

fn filter(asked: &SearchParameters, meaning: &Meaning) -> Result<EntryFilter, Problem> {
    let mut parameters = FilterParameters {
        kind: chosen(&asked.kind),
        decision: chosen(&asked.decision),
        operation: chosen(&asked.operation),
        ..period(&asked.from, &asked.to)
    };
    meaning.put_into(&mut parameters);
    parameters.read()
}

/// The conditions that two days stand for, the second with all of it; none where nothing was chosen.
pub(super) fn period(from: &str, to: &str) -> FilterParameters {
    FilterParameters {
        from: chosen(from).map(|day| beginning(&day)),
        to: chosen(to).map(|day| end(&day)),
        ..FilterParameters::default()
    }
}

fn chosen(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The first moment of a day; what is no day is left to be a moment.
fn beginning(text: &str) -> String {
    text.parse::<jiff::civil::Date>().map_or_else(|_| text.to_owned(), |day| format!("{day}T00:00:00Z"))
}

/// The first moment after a day.
fn end(text: &str) -> String {
    let next = text.parse::<jiff::civil::Date>().ok().and_then(|day| day.tomorrow().ok());
    next.map_or_else(|| text.to_owned(), |day| format!("{day}T00:00:00Z"))
}

fn found(
    state: &ApiState,
    asked: &SearchParameters,
    filter: &EntryFilter,
    page: EntryPage,
    path: &str,
) -> FoundEntries {
    let EntryPage { entries, size, next, progress } = page;
    let words = filter.words();
    let behind = progress.log_size.saturating_sub(progress.indexed);
    let complete = Complete {
        is_complete: next.is_none() && behind == 0,
        text: complete(entries.len(), asked.page.is_none(), next.is_some(), size, behind),
    };
    let to_page = |below: Option<u64>| {
        let place = [("page", below), ("size", below.map(|_| size))];
        let place = place.into_iter().filter_map(|(name, number)| Some((name, number?.to_string())));
        link(path, asked.words().chain(place))
    };
    // Of the answer to the API, where the oldest come first else.
    let mut question = words.clone();
    question.insert("order".to_owned(), "newest".to_owned());
    FoundEntries {
        rows: entries.iter().filter_map(row).collect(),
        unreadable: entries
            .iter()
            .filter(|logged| logged.entry().is_err())
            .map(|logged| logged.index)
            .collect(),
        complete,
        newest: asked.page.map(|_| to_page(None)),
        older: next.map(|next| to_page(Some(next))),
        api: api_call(state, &question),
        cli: cli_call(&words),
        csv: export(&words, "csv"),
        ndjson: export(&words, "ndjson"),
    }
}

fn row(logged: &LoggedEntry) -> Option<Row> {
    let entry = logged.entry().ok()?;
    let claims = entry.ruling.as_ref().map(|ruling| claims(&ruling.claims)).unwrap_or_default();
    let missing = match &entry.event {
        Event::Refusal { missing, .. } => {
            missing.iter().map(|one| (plain(&one.rule), plain(&one.condition))).collect()
        }
        _ => Vec::new(),
    };
    let is_counted = entry.refusals() > 1;
    Some(Row { told: Told::of(logged.index, &entry), claims, missing, is_counted })
}

/// Claims as names and values.
pub(super) fn claims(claims: &crate::domain::MatchedClaims) -> Vec<(String, String)> {
    let text =
        |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    claims.iter().map(|(name, value)| (plain(name), plain(&text(value)))).collect()
}

/// The same question, to the API.
pub(super) fn api_call(state: &ApiState, words: &BTreeMap<String, String>) -> String {
    let base = state.audit.as_ref().map(|audit| audit.base()).unwrap_or_default();
    let path = link("/v1/log/entries", words.iter().map(|(name, word)| (name.as_str(), word.clone())));
    // What is encoded has no quotes; and the variable is for the shell.
    plain(&format!("curl -H \"Authorization: Bearer $SIGNET_TOKEN\" \"{base}{path}\""))
}

/// The same question, to the command line.
fn cli_call(words: &BTreeMap<String, String>) -> String {
    let options = words.iter().map(|(name, word)| format!(" --{} {}", name.replace('_', "-"), quoted(word)));
    plain(&format!("signet log query --newest-first{}", options.collect::<String>()))
}

/// As a shell takes it for one word (POSIX, section 2.2.2).
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@=+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn export(words: &BTreeMap<String, String>, format: &str) -> String {
    let words = words.iter().map(|(name, word)| (name.as_str(), word.clone()));
    link("/audit/export", words.chain([("format", format.to_owned())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("registry.example.com/a"), "registry.example.com/a");
        assert_eq!(quoted("a/**"), "'a/**'");
        assert_eq!(quoted("it's $(x)"), r"'it'\''s $(x)'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn days_stand_for_all_their_moments() {
        assert_eq!(beginning("2026-03-01"), "2026-03-01T00:00:00Z");
        assert_eq!(end("2026-02-28"), "2026-03-01T00:00:00Z");
        assert_eq!(end("2026-03-01T12:00:00Z"), "2026-03-01T12:00:00Z");
        assert_eq!(beginning("yesterday"), "yesterday");
    }
}
