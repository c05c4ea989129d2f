//! Values of parameters, and what answers about the log have in common.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::Uri;

use crate::domain::{Entry, Operation, Pattern, Timestamp};
use crate::http::problem::Problem;
use crate::ports::{EntryQuery, SearchProgress};

/// Characters of one condition. No name that an entry may have is longer.
const MAX_CHARACTERS: usize = 4096;

/// Results of a page where nothing else is said.
const DEFAULT_LIMIT: usize = 100;

/// The question in words, for the entry that tells that it was asked.
pub(super) fn asked(resource: &str, uri: &Uri) -> BTreeMap<String, String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let pairs = pairs.map(|(name, value)| (name.into_owned(), value.into_owned()));
    pairs.chain([("resource".to_owned(), resource.to_owned())]).collect()
}

pub(super) fn query<T>(parameters: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let Query(parameters) = parameters.map_err(|rejection| {
        Problem::invalid(format!("The query can not be read: {}.", rejection.body_text()))
    })?;
    Ok(parameters)
}

/// A condition that is compared as it is.
pub(super) fn text(name: &str, value: Option<&String>) -> Result<Option<String>, Problem> {
    match value {
        Some(value) if value.chars().nth(MAX_CHARACTERS).is_some() => {
            Err(Problem::invalid(format!("`{name}` has at most {MAX_CHARACTERS} characters.")))
        }
        value => Ok(value.cloned()),
    }
}

pub(super) fn read_as<T: FromStr<Err: Display>>(
    name: &str,
    value: Option<&String>,
) -> Result<Option<T>, Problem> {
    let read = |value: String| value.parse().map_err(|error| Problem::invalid(format!("`{name}`: {error}.")));
    text(name, value)?.map(read).transpose()
}

/// A repository, or a pattern of them.
pub(super) fn repository(value: Option<&String>) -> Result<Option<Pattern>, Problem> {
    let pattern = text("repository", value)?.as_deref().map(Pattern::of_repositories).transpose();
    pattern.map_err(|error| Problem::invalid(format!("`repository`: {error}.")))
}

pub(super) fn kind(value: Option<&String>) -> Result<Option<String>, Problem> {
    match value {
        Some(kind) if !Entry::KINDS.contains(&kind.as_str()) => {
            Err(Problem::invalid(format!("`kind` is one of {}.", Entry::KINDS.join(", "))))
        }
        kind => Ok(kind.cloned()),
    }
}

pub(super) fn operation(value: Option<&String>) -> Result<Option<Operation>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let found = Operation::ALL.into_iter().find(|operation| operation.to_string() == *value);
    let names = || Operation::ALL.map(|operation| operation.to_string()).join(", ");
    found.map(Some).ok_or_else(|| Problem::invalid(format!("`operation` is one of {}.", names())))
}

/// Whether refusals are asked for, or everything else.
pub(super) fn denied(value: Option<&String>) -> Result<Option<bool>, Problem> {
    match value.map(String::as_str) {
        None => Ok(None),
        Some("allow") => Ok(Some(false)),
        Some("deny") => Ok(Some(true)),
        Some(_) => Err(Problem::invalid("`decision` is `allow` or `deny`.")),
    }
}

/// A period, which has to have a length.
pub(super) fn period(
    from: Option<&String>,
    to: Option<&String>,
) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
    let (from, to) = (read_as("from", from)?, read_as("to", to)?);
    match (from, to) {
        (Some(begin), Some(end)) if begin >= end => {
            Err(Problem::invalid("`from` has to be before `to`: nothing is in between."))
        }
        period => Ok(period),
    }
}

pub(super) fn limit(value: Option<usize>) -> Result<usize, Problem> {
    let limit = value.unwrap_or(DEFAULT_LIMIT);
    if (1..=EntryQuery::MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid(format!("`limit` is a number from 1 to {}.", EntryQuery::MAX_LIMIT)))
}

/// The last entry that the index knows.
pub(super) const fn indexed_through(progress: SearchProgress) -> Option<u64> {
    progress.indexed.checked_sub(1)
}

/// The path of the next page: the same question, from there on.
pub(super) fn next_page(
    path: &str,
    question: impl IntoIterator<Item = (impl AsRef<str>, String)>,
    next: impl IntoIterator<Item = (&'static str, u64)>,
) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(question);
    query.extend_pairs(next.into_iter().map(|(name, value)| (name, value.to_string())));
    format!("{path}?{}", query.finish())
}
