//! `/audit/signatures`: which signatures there are, and what became of them.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::asked::{Meaning, NotUnderstood};
use super::page::{Frame, Section, html_with};
use super::parts::{Short, When, complete, link, plain};
use super::search::{address, period, understood};
use super::session::{Turned, Viewer};
use super::told::{self, Tone};
use crate::domain::{AttachResult, Timestamp};
use crate::http::ApiState;
use crate::http::log::signatures::name_of;
use crate::ports::{ListedSignature, SignatureFilter, SignatureQuery, SignatureState};
use crate::service::{SignatureList, StateFilter};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SignaturesParameters {
    q: String,
    state: String,
    from: String,
    to: String,
    begin: Option<u64>,
    size: Option<u64>,
}

const LIMIT: usize = 50;

#[derive(Template)]
#[template(path = "signatures.html")]
struct SignaturesPage {
    frame: Frame,
    asked: SignaturesParameters,
    meaning: Option<(&'static str, String)>,
    wrong: Option<String>,
    states: [(&'static str, &'static str); 7],
    rows: Vec<SignatureRow>,
    complete: Option<String>,
    next: Option<String>,
}

/// A signature as a row of a table.
pub struct SignatureRow {
    pub id: String,
    pub when: When,
    pub state: &'static str,
    pub tone: Tone,
    pub principal: String,
    pub repository: Option<String>,
    pub digest: Short,
    pub key: String,
    /// Why it is not attached, or was not made.
    pub why: Option<String>,
}

/// In words, in the order of the choice.
const STATES: [(StateFilter, &str); 7] = [
    (StateFilter::Is(SignatureState::Attached), "attached"),
    (StateFilter::Is(SignatureState::Signed), "signed, not attached"),
    (StateFilter::Is(SignatureState::Missing), "missing"),
    (StateFilter::Is(SignatureState::GivenUp), "given up"),
    (StateFilter::Is(SignatureState::Failed), "failed"),
    (StateFilter::Is(SignatureState::Pending), "pending"),
    (StateFilter::Indeterminate, "indeterminate"),
];

pub async fn list(
    State(state): State<ApiState>,
    viewer: Viewer,
    parameters: Result<Query<SignaturesParameters>, QueryRejection>,
) -> Result<Response, Turned> {
    let asked = address(parameters)?;
    let meaning = understood(&state, &asked.q);
    let mut page = SignaturesPage {
        frame: Frame::new("Signatures", Section::Signatures, Some(&viewer)),
        meaning: meaning.as_ref().ok().and_then(Meaning::words).map(|(what, of)| (what, plain(&of))),
        wrong: None,
        states: STATES.map(|(state, words)| (name_of(state), words)),
        rows: Vec::new(),
        complete: None,
        next: None,
        asked,
    };
    match question(&page.asked, meaning) {
        Err(why) => page.wrong = Some(why),
        Ok((filter, wanted)) => {
            let query = SignatureQuery {
                filter,
                begin: page.asked.begin.unwrap_or_default(),
                size: page.asked.size,
                limit: LIMIT,
            };
            let words = words(&page.asked);
            let list = viewer
                .ask(&state, move |service, caller| async move {
                    service.log_signatures(&caller, words, query, wanted).await
                })
                .await?;
            show(&mut page, list);
        }
    }
    let status = if page.wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(html_with(status, &page)?)
}

fn show(page: &mut SignaturesPage, list: SignatureList) {
    let SignatureList { page: found, indeterminate_before } = list;
    let behind = found.progress.log_size.saturating_sub(found.progress.indexed);
    let (is_first, has_more) = (page.asked.begin.is_none(), found.next.is_some());
    page.complete = Some(complete(found.signatures.len(), is_first, has_more, found.size, behind));
    page.next = found.next.map(|next| {
        let mut words = words(&page.asked);
        words.remove("resource");
        words.insert("begin".to_owned(), next.to_string());
        words.insert("size".to_owned(), found.size.to_string());
        link("/audit/signatures", words.iter().map(|(name, word)| (name.as_str(), word.clone())))
    });
    page.rows =
        found.signatures.iter().map(|listed| SignatureRow::of(listed, indeterminate_before)).collect();
}

/// The question by name and value, as it is logged.
fn words(asked: &SignaturesParameters) -> std::collections::BTreeMap<String, String> {
    let SignaturesParameters { q, state, from, to, begin: _, size: _ } = asked;
    let words = [("q", q), ("state", state), ("from", from), ("to", to)];
    let words = words.into_iter().filter(|(_, text)| !text.is_empty());
    let words = words.map(|(name, text)| (name.to_owned(), text.clone()));
    words.chain([("resource".to_owned(), "signatures".to_owned())]).collect()
}

fn question(
    asked: &SignaturesParameters,
    meaning: Result<Meaning, NotUnderstood>,
) -> Result<(SignatureFilter, Option<StateFilter>), String> {
    let meaning = meaning.map_err(|NotUnderstood(why)| why)?;
    if let Meaning::Identifier { .. } | Meaning::Rule(_) | Meaning::Entry(_) = meaning {
        return Err("Signatures are found by digest, image, repository, principal and key. For anything else, search the entries.".to_owned());
    }
    let mut parameters = period(&asked.from, &asked.to);
    meaning.put_into(&mut parameters);
    let filter = parameters.read().map_err(|problem| plain(problem.detail()))?;
    let state = match asked.state.as_str() {
        "" => None,
        name => {
            let state = STATES.iter().map(|(state, _)| *state).find(|state| name_of(*state) == name);
            Some(state.ok_or_else(|| "There is no such state: choose one of the list.".to_owned())?)
        }
    };
    let filter = SignatureFilter {
        digest: filter.digest,
        repository: filter.repository,
        principal: filter.principal,
        key: filter.key,
        key_version: filter.key_version,
        state: None,
        from: filter.from,
        to: filter.to,
    };
    Ok((filter, state))
}

impl SignatureRow {
    pub fn of(listed: &ListedSignature, indeterminate_before: Timestamp) -> Self {
        let (state, tone) = told::state(listed.state, listed.time < indeterminate_before);
        let tone = match (tone, listed.state) {
            // What is of no registry has nothing to be attached to.
            (Tone::Warning, SignatureState::Signed) if listed.subject.repository.is_none() => Tone::Good,
            (tone, _) => tone,
        };
        let code = match &listed.attach {
            Some(AttachResult::GivenUp { code } | AttachResult::Failed { code }) => Some(code),
            _ => None,
        };
        Self {
            id: listed.signing.id.to_string(),
            when: When(listed.time),
            state,
            tone,
            principal: plain(&listed.principal),
            repository: listed.subject.repository.as_ref().map(|name| plain(&name.to_string())),
            digest: Short(listed.subject.digest),
            key: format!("{} v{}", listed.signing.key.name, listed.signing.key.version),
            why: listed.failure.as_ref().or(code).map(|code| plain(code)),
        }
    }
}
