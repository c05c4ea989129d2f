//! `/audit/entries/{index}`: one entry, in its exact bytes, with its proof.

use askama::Template;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use super::page::{Frame, Section, html};
use super::proof::{ProofView, WIDTH};
use super::search::claims;
use super::session::{Turned, Viewer};
use super::told::Told;
use crate::http::ApiState;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::service::ProvenEntry;
use crate::tlog::VerifierKey;

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    frame: Frame,
    /// None where the entry is in a form that this version does not know.
    told: Option<Told>,
    claims: Vec<(String, String)>,
    policy: Option<String>,
    proof: ProofView,
    width: usize,
    earlier: Option<u64>,
    later: u64,
}

pub async fn show(
    State(state): State<ApiState>,
    viewer: Viewer,
    Path(index): Path<String>,
) -> Result<Response, Turned> {
    let (entry, trusted) = (read(&state, &viewer, &index).await?, trusted(&state).await);
    let known = entry.logged.entry().ok();
    let ruling = known.as_ref().and_then(|entry| entry.ruling.as_ref());
    let index = entry.logged.index;
    let page = EntryPage {
        frame: Frame::new(format!("Entry {index}"), Section::Search, Some(&viewer)),
        told: known.as_ref().map(|entry| Told::of(index, entry)),
        claims: ruling.map(|ruling| claims(&ruling.claims)).unwrap_or_default(),
        policy: ruling.map(|ruling| ruling.policy.to_string()),
        proof: ProofView::of(&entry, &trusted),
        width: WIDTH,
        earlier: index.checked_sub(1),
        later: index + 1,
    };
    Ok(html(&page)?)
}

/// The exact bytes, as a file.
pub async fn bytes(
    State(state): State<ApiState>,
    viewer: Viewer,
    Path(index): Path<String>,
) -> Result<Response, Turned> {
    let entry = read(&state, &viewer, &index).await?;
    Ok(file("application/json", &format!("entry-{}.json", entry.logged.index), entry.logged.bytes))
}

/// The proof, as a file: `c2sp.org/tlog-proof@v1`.
pub async fn proof(
    State(state): State<ApiState>,
    viewer: Viewer,
    Path(index): Path<String>,
) -> Result<Response, Turned> {
    let entry = read(&state, &viewer, &index).await?;
    let none = || Problem::not_found("No checkpoint covers this entry yet. Try again in a moment.");
    let proof = entry.proof.ok_or_else(none)?;
    Ok(file(
        "text/plain; charset=utf-8",
        &format!("entry-{}.tlog-proof", entry.logged.index),
        proof.into_bytes(),
    ))
}

async fn read(state: &ApiState, viewer: &Viewer, index: &str) -> Result<ProvenEntry, Problem> {
    let index = index.parse().map_err(|_| Problem::invalid("An entry's index is a number from 0."))?;
    let entry = viewer
        .ask(state, move |service, caller| async move { service.proven_entry(&caller, index).await })
        .await?;
    entry.ok_or_else(|| Problem::not_found("The log is not that long."))
}

/// The log's own keys; none where Vault can not tell, and then no signature is believed.
pub(super) async fn trusted(state: &ApiState) -> Vec<VerifierKey> {
    let keys = state.notes.verifier_keys().await.unwrap_or_default();
    keys.iter().filter_map(|key| key.parse().ok()).collect()
}

fn file(media_type: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, media_type.to_owned()), (CONTENT_DISPOSITION, disposition)], bytes).into_response()
}
