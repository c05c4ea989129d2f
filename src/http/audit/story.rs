//! `/audit/signatures/{id}`: one signature's story.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::entry::trusted;
use super::page::{Frame, Section, html};
use super::parts::{Short, When, in_path, lasted, plain, plain_lines};
use super::proof::{ProofView, WIDTH};
use super::search::{claims, quoted};
use super::session::{Turned, Viewer};
use super::told::{Told, Tone};
use crate::domain::{
    Claim, Entry, Event, Format, Outcome, PublicKey, Record, SignatureId, State as RecordState,
};
use crate::http::ApiState;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::service::{Presence, Story};

#[derive(Template)]
#[template(path = "story.html")]
struct StoryPage {
    frame: Frame,
    id: String,
    state: &'static str,
    tone: Tone,
    /// What it says of what: "This image is signed".
    claim: String,
    subject: String,
    repository: Option<String>,
    digest: Short,
    principal: String,
    request: Option<String>,
    operation: Option<String>,
    rule: Option<String>,
    policy: Option<Short>,
    claims: Vec<(String, String)>,
    format: String,
    annotations: Vec<(String, String)>,
    payload: Short,
    document: Option<String>,
    key: String,
    version: u32,
    fingerprint: String,
    public_key: Option<String>,
    signed_at: Option<When>,
    calls: Vec<(&'static str, String)>,
    presence: PresenceView,
    steps: Vec<Step>,
    is_complete: bool,
    proof: Option<ProofView>,
    width: usize,
    commands: Vec<(&'static str, String)>,
}

/// What the registry said a moment ago.
struct PresenceView {
    answer: &'static str,
    tone: Tone,
    text: String,
    reference: Option<String>,
    asked: When,
}

/// One step of the time line.
struct Step {
    told: Told,
    /// How long after the one before.
    after: Option<String>,
}

pub async fn show(
    State(state): State<ApiState>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Turned> {
    let id: SignatureId = serde_json::from_value(id.into()).map_err(|_| {
        Problem::invalid("A signature is named by a UUID, as `id` in the answer to whoever asked for it.")
    })?;
    let story =
        viewer.ask(&state, move |service, caller| async move { service.story(&caller, id).await }).await?;
    let trusted = trusted(&state).await;
    let key = &story.record.signing.key;
    let public_key = state.service.public_key_of(key).await;
    let proof = story.holder.as_ref().map(|entry| ProofView::of(entry, &trusted));
    let page = page(&state, &viewer, &story, proof, public_key.as_ref());
    Ok(html(&page)?)
}

fn page(
    state: &ApiState,
    viewer: &Viewer,
    story: &Story,
    proof: Option<ProofView>,
    public_key: Option<&PublicKey>,
) -> StoryPage {
    let Story { record, payload, entries, .. } = story;
    let signing = &record.signing;
    let first = entries.first().map(|(_, entry)| entry);
    let ruling = first.and_then(|entry| entry.ruling.as_ref());
    let (state_word, tone) = state_of(record);
    let subject = match record.subject.image() {
        Some(image) => image.to_string(),
        None => record.subject.digest.to_string(),
    };
    let of = if record.subject.repository.is_some() { "An image" } else { "A file" };
    StoryPage {
        frame: Frame::new(
            format!("{of} signed by {} v{}", signing.key.name, signing.key.version),
            Section::Signatures,
            Some(viewer),
        ),
        id: signing.id.to_string(),
        state: state_word,
        tone,
        claim: claim(&signing.claim),
        subject: plain(&subject),
        repository: record.subject.repository.as_ref().map(|name| plain(&name.to_string())),
        digest: Short(record.subject.digest),
        principal: plain(&record.principal),
        request: first.and_then(|entry| entry.request_id.as_ref()).map(|id| id.as_str().to_owned()),
        operation: first.and_then(|entry| entry.operation).map(|operation| operation.to_string()),
        rule: ruling.and_then(|ruling| ruling.rule.as_deref()).map(plain),
        policy: ruling.map(|ruling| Short(ruling.policy)),
        claims: ruling.map(|ruling| claims(&ruling.claims)).unwrap_or_default(),
        format: signing.format.to_string(),
        annotations: signing
            .annotations
            .as_map()
            .iter()
            .map(|(name, value)| (plain(name), plain(value)))
            .collect(),
        payload: Short(signing.payload),
        document: payload.as_ref().map(|payload| plain_lines(&String::from_utf8_lossy(&payload.to_bytes()))),
        key: signing.key.name.to_string(),
        version: signing.key.version.get(),
        fingerprint: signing.key.fingerprint.to_string(),
        public_key: public_key.map(PublicKey::to_pem),
        signed_at: record.signature().map(|(_, at)| When(at)),
        calls: calls(entries),
        presence: presence(&story.presence, record, state.clock.now()),
        steps: steps(entries),
        is_complete: story.is_complete,
        commands: commands(state, story, proof.as_ref()),
        proof,
        width: WIDTH,
    }
}

const fn state_of(record: &Record) -> (&'static str, Tone) {
    match record.state {
        RecordState::Pending => ("pending", Tone::Plain),
        RecordState::Indeterminate => ("indeterminate", Tone::Bad),
        RecordState::Signed { .. } if record.subject.repository.is_none() => ("signed", Tone::Good),
        RecordState::Signed { .. } => ("signed, not attached", Tone::Warning),
        RecordState::Attached { .. } => ("attached", Tone::Good),
        RecordState::Failed { .. } => ("failed", Tone::Bad),
        RecordState::GivenUp { .. } => ("given up", Tone::Bad),
    }
}

fn claim(claim: &Claim) -> String {
    match claim {
        Claim::Image => "Signature of an image".to_owned(),
        Claim::Attestation { predicate_type, .. } => format!("Attestation, {}", plain(predicate_type)),
        Claim::Blob { name: Some(name), .. } => format!("Signature of the file {}", plain(name)),
        Claim::Blob { name: None, .. } => "Signature of a file".to_owned(),
    }
}

/// The names under which Vault's audit log knows the calls.
fn calls(entries: &[(u64, Entry)]) -> Vec<(&'static str, String)> {
    let mut calls = Vec::new();
    for (_, entry) in entries {
        match &entry.event {
            Event::Intent { batch, .. } => calls.push(("Batch (X-Signet-Batch-Id)", batch.to_string())),
            Event::Outcome { result: Outcome::Signed { vault_request_id: Some(id), .. }, .. } => {
                calls.push(("Vault's request id", plain(id)));
            }
            _ => {}
        }
    }
    calls
}

fn presence(presence: &Presence, record: &Record, now: crate::domain::Timestamp) -> PresenceView {
    let (answer, tone, text, reference) = match presence {
        Presence::There { reference } => {
            ("There", Tone::Good, "The registry has it now.".to_owned(), Some(reference))
        }
        Presence::Gone { reference } => (
            "Not there",
            Tone::Bad,
            "The registry has answered, and does not have it now. A signature that is asked for again is put back.".to_owned(),
            Some(reference),
        ),
        Presence::Unknown { reference, code } => (
            "Could not tell",
            Tone::Warning,
            format!("The registry did not answer so that it could be told ({code}). This says nothing about the signature: load the page again."),
            Some(reference),
        ),
        Presence::Nowhere if record.subject.repository.is_none() => (
            "Nowhere to look",
            Tone::Plain,
            "Signatures of files go to whoever asked for them, and to no registry.".to_owned(),
            None,
        ),
        Presence::Nowhere => ("Nowhere to look", Tone::Plain, "There is no signature.".to_owned(), None),
    };
    PresenceView { answer, tone, text, reference: reference.map(|text| plain(text)), asked: When(now) }
}

fn steps(entries: &[(u64, Entry)]) -> Vec<Step> {
    let times: Vec<_> = entries.iter().map(|(_, entry)| entry.time).collect();
    let after = |place: usize| {
        let before = times.get(place.checked_sub(1)?)?;
        Some(lasted(*before, times[place]))
    };
    let step = |(place, (index, entry)): (usize, &(u64, Entry))| Step {
        told: Told::of(*index, entry),
        after: after(place),
    };
    entries.iter().enumerate().map(step).collect()
}

/// How a stranger checks the same, with nothing of ours but public keys.
fn commands(state: &ApiState, story: &Story, proof: Option<&ProofView>) -> Vec<(&'static str, String)> {
    let base = state.audit.as_ref().map(|audit| audit.base()).unwrap_or_default();
    let signing = &story.record.signing;
    let (key, version) = (&signing.key.name, signing.key.version);
    let pem = format!("{key}-v{version}.pub");
    let mut commands = vec![(
        "The public key of this version, once; compare its fingerprint with what the security team publishes",
        format!(
            "curl -sSf -o {} \"{base}/v1/keys/{}/versions/{version}/public-key\"",
            quoted(&pem),
            in_path(key.as_str())
        ),
    )];
    if let Some(image) = story.record.subject.image()
        && story.record.signature().is_some()
    {
        let image = quoted(&image.to_string());
        let command = match &signing.claim {
            Claim::Attestation { predicate_type, .. } => format!(
                "cosign verify-attestation --key {} --insecure-ignore-tlog=true --type {} {image}",
                quoted(&pem),
                quoted(predicate_type)
            ),
            _ => {
                // What can not be seen can not be copied either; the signature has it all the same.
                let can_be_copied =
                    |(name, value): &(&String, &String)| plain(name) == **name && plain(value) == **value;
                let annotations = signing.annotations.as_map().iter().filter(can_be_copied);
                let annotations: String = annotations
                    .map(|(name, value)| format!(" -a {}", quoted(&format!("{name}={value}"))))
                    .collect();
                format!(
                    "cosign verify --key {} --insecure-ignore-tlog=true{annotations} {image}",
                    quoted(&pem)
                )
            }
        };
        let with = match signing.format {
            Format::Cosign => "The signature on the image, with cosign 2 or 3",
            Format::Bundle => "The signature on the image, with cosign 3",
        };
        commands.push((with, plain(&command)));
    }
    if let Some(index) = proof.filter(|proof| proof.proof.is_some()).map(|proof| proof.index) {
        commands.push((
            "The log's keys, once; compare them with what the operators read out of Vault",
            format!("curl -sSf -o log.keys \"{base}/.well-known/signet/log-keys\""),
        ));
        commands.push((
            "That the log holds the entry: both files are below the proof on this page; no network is needed",
            format!("signet log verify --key-file log.keys --proof entry-{index}.tlog-proof --entry entry-{index}.json"),
        ));
    }
    commands
}
