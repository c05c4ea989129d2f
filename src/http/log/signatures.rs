//! `/v1/log/signatures`: which signatures there are, and what became of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::parameters::{asked, indexed_through, limit, next_page, period, query, read_as, repository, text};
use crate::domain::{AttachResult, Timestamp};
use crate::http::ApiState;
use crate::http::problem::{Problem, ProblemBody};
use crate::ports::{ListedSignature, SignatureFilter, SignaturePage, SignatureQuery, SignatureState};
use crate::service::{Caller, SignatureList, StateFilter};

/// Conditions, combined with "and".
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SignatureParameters {
    /// `sha256:…` of the image or the file.
    digest: Option<String>,
    /// With its host: `registry.example.com/team/app`. `*` stands for any characters of one part, `**` for any parts.
    repository: Option<String>,
    /// Who asked first, as entries name it: `token:ci`.
    principal: Option<String>,
    key: Option<String>,
    key_version: Option<u32>,
    /// `pending`: about to be made. `indeterminate`: an intent to which no outcome came; Vault's audit log knows, under the
    /// batch id, whether it has signed. `signed`: made, and not known to be attached. `attached`, `missing` (it was attached,
    /// and was gone when looked at again), `given-up`, `failed` (no signature came of it).
    state: Option<String>,
    /// First asked for at this moment or later, RFC 3339.
    from: Option<String>,
    /// First asked for before this moment, RFC 3339.
    to: Option<String>,
    /// Where the page begins; `next` has it.
    begin: Option<u64>,
    /// The log's size that the pages speak of; `next` has it.
    size: Option<u64>,
    /// Signatures of a page, 1 to 1000. Default: 100.
    limit: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub struct SignaturePageBody {
    /// In the order in which they were first asked for. May be fewer than asked for, also none, where there is a next page:
    /// a page searches for a bounded time.
    signatures: Vec<ListedBody>,
    /// The size of the log.
    log_size: u64,
    /// The pages speak of signatures that were first asked for below this index; their states are those of now.
    size: u64,
    /// What every entry up to this index tells is in the answer. None while the log is empty.
    indexed_through: Option<u64>,
    /// Where the next page is; none behind the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ListedBody {
    id: String,
    state: &'static str,
    key: KeyBody,
    format: String,
    /// None for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    digest: String,
    /// Who asked first.
    principal: String,
    /// When it was first asked for.
    time: String,
    /// The call to Vault, for what has no outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    /// Where it is attached, or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// The manifest that carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    /// Why it is not attached, or was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    log: ListedLog,
}

#[derive(Serialize, ToSchema)]
pub struct KeyBody {
    name: String,
    version: u32,
    fingerprint: String,
}

/// Entries of the log.
#[derive(Serialize, ToSchema)]
pub struct ListedLog {
    /// The first that speaks of the signature.
    first: u64,
    /// The one that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<u64>,
}

/// Which signatures there are, and what became of them
#[utoipa::path(get, path = "/v1/log/signatures", tag = "log", security(("bearer" = [])), params(SignatureParameters), responses(
    (status = 200, body = SignaturePageBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    uri: Uri,
    parameters: Result<Query<SignatureParameters>, QueryRejection>,
) -> Result<Json<SignaturePageBody>, Problem> {
    let parameters = query(parameters)?;
    let (query, wanted) = parse(&parameters)?;
    let (service, principal) = (state.service.clone(), caller.principal.clone());
    let question = asked("signatures", &uri);
    let logged = question.clone();
    let asking = async move { service.log_signatures(&caller, logged, query, wanted).await };
    let list = state.admission.run(&principal, asking).await??;
    Ok(Json(body(question, list)))
}

/// States by their names.
const STATES: [(&str, StateFilter); 7] = [
    ("pending", StateFilter::Is(SignatureState::Pending)),
    ("indeterminate", StateFilter::Indeterminate),
    ("signed", StateFilter::Is(SignatureState::Signed)),
    ("attached", StateFilter::Is(SignatureState::Attached)),
    ("missing", StateFilter::Is(SignatureState::Missing)),
    ("given-up", StateFilter::Is(SignatureState::GivenUp)),
    ("failed", StateFilter::Is(SignatureState::Failed)),
];

/// The name of a state.
pub fn name_of(state: StateFilter) -> &'static str {
    STATES.iter().find(|(_, each)| *each == state).map_or("", |(name, _)| name)
}

fn parse(parameters: &SignatureParameters) -> Result<(SignatureQuery, Option<StateFilter>), Problem> {
    let state = parameters.state.as_deref().map(|state| {
        let found = STATES.iter().find(|(name, _)| *name == state);
        let names = STATES.map(|(name, _)| name).join(", ");
        found.map(|(_, state)| *state).ok_or_else(|| Problem::invalid(format!("`state` is one of {names}.")))
    });
    let (from, to) = period(parameters.from.as_ref(), parameters.to.as_ref())?;
    let filter = SignatureFilter {
        digest: read_as("digest", parameters.digest.as_ref())?,
        repository: repository(parameters.repository.as_ref())?,
        principal: text("principal", parameters.principal.as_ref())?,
        key: text("key", parameters.key.as_ref())?,
        key_version: parameters.key_version,
        state: None,
        from,
        to,
    };
    let (begin, limit) = (parameters.begin.unwrap_or(0), limit(parameters.limit)?);
    Ok((SignatureQuery { filter, begin, size: parameters.size, limit }, state.transpose()?))
}

fn body(question: BTreeMap<String, String>, list: SignatureList) -> SignaturePageBody {
    let SignatureList { page, indeterminate_before } = list;
    let SignaturePage { signatures, size, next, progress } = page;
    SignaturePageBody {
        signatures: signatures.into_iter().map(|signature| listed(signature, indeterminate_before)).collect(),
        log_size: progress.log_size,
        size,
        indexed_through: indexed_through(progress),
        next: next.map(|begin| next_path(question, begin, size)),
    }
}

fn listed(signature: ListedSignature, indeterminate_before: Timestamp) -> ListedBody {
    let ListedSignature { time, principal, subject, signing, state, first, holder, batch, attach, failure } =
        signature;
    let state = match state {
        SignatureState::Pending if time < indeterminate_before => StateFilter::Indeterminate,
        state => StateFilter::Is(state),
    };
    let (reference, manifest, given_up) = match attach {
        Some(AttachResult::Attached { reference, manifest }) => (Some(reference), Some(manifest), None),
        Some(AttachResult::Missing { reference }) => (Some(reference), None, None),
        Some(AttachResult::GivenUp { code } | AttachResult::Failed { code }) => (None, None, Some(code)),
        None => (None, None, None),
    };
    ListedBody {
        id: signing.id.to_string(),
        state: name_of(state),
        key: KeyBody {
            name: signing.key.name.to_string(),
            version: signing.key.version.get(),
            fingerprint: signing.key.fingerprint.to_string(),
        },
        format: signing.format.to_string(),
        repository: subject.repository.map(|repository| repository.to_string()),
        digest: subject.digest.to_string(),
        principal,
        time: time.to_string(),
        batch: batch.map(|batch| batch.to_string()),
        reference,
        manifest: manifest.map(|manifest| manifest.to_string()),
        code: failure.or(given_up),
        log: ListedLog { first, signature: holder },
    }
}

/// The same question, from `begin` on.
fn next_path(mut question: BTreeMap<String, String>, begin: u64, size: u64) -> String {
    // `resource` is for the entry that tells of the question, and no parameter; the next page begins elsewhere.
    question.retain(|name, _| !["resource", "begin", "size"].contains(&name.as_str()));
    next_page("/v1/log/signatures", question, [("begin", begin), ("size", size)])
}
