//! `/v1/signatures`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiState;
use super::body::Body;
use super::idempotency::{Answer, IdempotencyKey};
use super::keys::key_name;
use super::path::Path;
use super::preference::Preferences;
use super::problem::{Problem, ProblemBody};
use crate::domain::{
    Annotations, BatchId, Claim, Format, ImageReference, KeyName, KeyReference, KeyVersion, RequestId,
    SignatureId, State as Stage,
};
use crate::input::{self, Node};
use crate::service::{
    Caller, MadeSignature, ServiceError, SignAnswer, SignRequest, SignatureView, SignedImage,
};

/// What to sign.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureRequest {
    /// The image by its digest.
    #[schema(
        example = "registry.example.com/team/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    image: String,
    /// May be left out where policy leaves one choice.
    #[schema(example = "release")]
    key: Option<String>,
    /// Default: the latest.
    #[schema(minimum = 1)]
    key_version: Option<u32>,
    /// `cosign` or `bundle`. Default: what the image has already, else its registry's setting.
    #[schema(example = "cosign")]
    format: Option<String>,
    /// For an index: all that it lists too, children before their parents.
    #[serde(default)]
    recursive: bool,
    /// Signed with the image. At most 64, 16 KiB together, no control characters.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A signature, and how far it has come.
#[derive(Serialize, ToSchema)]
pub struct SignatureBody {
    /// None where it did not come to a signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    id: Option<SignatureId>,
    /// `pending`, `signed`, `attached` or `failed`; `indeterminate` where whoever had it signed has ended without a word:
    /// Vault's audit log tells of the `batch`, and no signature has left.
    #[schema(example = "attached")]
    state: &'static str,
    /// None for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyReferenceBody>,
    /// Of an attestation.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    /// Of a signature that is `pending` or `indeterminate`: the call to Vault that was to make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    batch: Option<BatchId>,
    signatures: Vec<LayoutBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<LogBody>,
    /// Why there is none, where one of several failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemBody>,
    /// With `recursive`, all that the image lists, and what that lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    children: Vec<SignatureBody>,
}

#[derive(Serialize, ToSchema)]
pub struct KeyReferenceBody {
    name: String,
    version: u32,
    fingerprint: String,
}

/// A signature in its layout.
#[derive(Serialize, ToSchema)]
pub struct LayoutBody {
    format: Format,
    /// Base64 of the simple-signing payload or the in-toto statement, in the bytes that were signed. Left out where
    /// somebody else wrote it in other bytes than Signet does, and for attestations: then only the registry has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// Base64 of the signature in ASN.1 DER.
    signature: String,
    /// Where it hangs.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Digest of the manifest that carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    /// Whether this request made or attached it.
    created: bool,
}

#[derive(Serialize, ToSchema)]
pub struct LogBody {
    /// The entry that holds the signature.
    pub index: u64,
    /// That the entry is in the log: a `c2sp.org/tlog-proof@v1`, with the checkpoint that it leads to. Left out where no
    /// checkpoint covers the entry yet; asking for the signature again brings it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    #[schema(value_type = Vec<SignatureRequest>)]
    requests: Vec<Node>,
}

#[derive(Serialize, ToSchema)]
pub struct BatchBody {
    /// In the order of the requests.
    results: Vec<BatchResult>,
}

/// The answer to one of the requests: what it would have got alone.
#[derive(Serialize, ToSchema)]
pub struct BatchResult {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemBody>,
}

/// Sign an image
///
/// The same request again answers 200 with what is there, and changes nothing.
#[utoipa::path(post, path = "/v1/signatures", tag = "signatures", security(("bearer" = [])), request_body = SignatureRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body gets the same answer"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer 202 when it is signed, and attach it afterwards")),
    responses(
    (status = 201, description = "Signed or attached now", body = SignatureBody),
    (status = 200, description = "All was there already", body = SignatureBody),
    (status = 202, description = "Signed, and on its way to the registry; `Location` says where to ask", body = SignatureBody),
    (status = 207, description = "Of an index and what it lists, some failed: each says so itself", body = SignatureBody),
    (status = "4XX", description = "Refused; the detail says what to do", body = ProblemBody, content_type = "application/problem+json"),
    (status = "5XX", description = "Could not be done now; `Retry-After` says when to try again", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn sign(
    State(state): State<ApiState>,
    caller: Caller,
    preferences: Preferences,
    key: IdempotencyKey,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let request = parse(body.json()?, preferences)?;
    let may = |request: &SignRequest| state.service.may_sign(&caller, request);
    let operation = async |request| {
        let (status, body) = sign_one(&state, caller.clone(), request).await?;
        body.answer(status)
    };
    let answer = key.answer(&state, &caller, body.digest("/v1/signatures"), request, may, operation).await?;
    Ok((preferences.applied(), answer))
}

/// Sign many images
///
/// An answer for each; one bad request fails alone. What is signed with one key shares calls to Vault.
#[utoipa::path(post, path = "/v1/signatures:batch", tag = "signatures", security(("bearer" = [])), request_body = BatchRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body gets the same answer"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait for the registries")),
    responses(
    (status = 200, description = "An answer for each", body = BatchBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn sign_many(
    State(state): State<ApiState>,
    caller: Caller,
    preferences: Preferences,
    key: IdempotencyKey,
    body: Body,
) -> Result<Answer, Problem> {
    let BatchRequest { requests } = body.json()?;
    if requests.is_empty() || requests.len() > state.batch_items {
        let (count, limit) = (requests.len(), state.batch_items);
        return Err(Problem::invalid(format!("`requests` has {count} items; send 1 to {limit} at once.")));
    }
    let requests = requests
        .into_iter()
        .map(|node| parse(input::from_node(node).map_err(|error| Problem::unreadable(&error))?, preferences));
    let requests: Vec<Result<SignRequest, Problem>> = requests.collect();
    let may = |requests: &Vec<Result<SignRequest, Problem>>| {
        requests.iter().flatten().all(|request| state.service.may_sign(&caller, request))
    };
    let operation = async |requests: Vec<Result<SignRequest, Problem>>| {
        let answers = requests.into_iter().map(|request| {
            let (state, caller) = (state.clone(), caller.clone());
            async move {
                let id = caller.request_id.clone();
                let answer = match request {
                    Ok(request) => sign_one(&state, caller, request).await,
                    Err(problem) => Err(problem),
                };
                BatchResult::of(answer, &id)
            }
        });
        let results = stream::iter(answers).buffered(BATCH_CONCURRENCY).collect().await;
        Answer::json(StatusCode::OK, &BatchBody { results })
    };
    let digest = body.digest("/v1/signatures:batch");
    key.answer(&state, &caller, digest, requests, may, operation).await
}

/// Look a signature up
#[utoipa::path(get, path = "/v1/signatures/{id}", tag = "signatures", security(("bearer" = [])), params(("id" = String, Path, description = "A UUID")), responses(
    (status = 200, body = SignatureBody),
    (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn read(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SignatureBody>, Problem> {
    let id: SignatureId = id.parse().map_err(|_| Problem::invalid("A signature's id is a UUID."))?;
    let service = state.service.clone();
    let principal = caller.principal.clone();
    let view = state.admission.run(&principal, async move { service.signature(&caller, id).await }).await??;
    Ok(Json(SignatureBody::of(view, false)))
}

/// Items of one batch that are worked on side by side: enough to fill a call to Vault, and few enough
/// that one batch does not take all places from everybody else.
const BATCH_CONCURRENCY: usize = 64;

async fn sign_one(
    state: &ApiState,
    caller: Caller,
    request: SignRequest,
) -> Result<(StatusCode, SignatureBody), Problem> {
    let service = state.service.clone();
    let id = caller.request_id.clone();
    let principal = caller.principal.clone();
    let signing = async move { service.sign(&caller, &request).await };
    let answer = state.admission.run(&principal, signing).await??;
    let images = std::iter::once(&answer.image).chain(&answer.children);
    let made: Result<Vec<_>, _> = images.map(|image| image.result.as_ref()).collect();
    let status = made.map_or(StatusCode::MULTI_STATUS, status_of);
    Ok((status, SignatureBody::tree(answer, &id)))
}

/// What signatures that were all made or found amount to.
pub fn status_of<'a>(made: impl IntoIterator<Item = &'a MadeSignature>) -> StatusCode {
    let created = made.into_iter().filter(|made| made.created);
    let attached = created.map(|made| made.signature.record.attachment().is_some());
    match attached.reduce(|all, one| all && one) {
        None => StatusCode::OK,
        Some(true) => StatusCode::CREATED,
        Some(false) => StatusCode::ACCEPTED,
    }
}

/// Strings become types, once.
fn parse(request: SignatureRequest, preferences: Preferences) -> Result<SignRequest, Problem> {
    Ok(SignRequest {
        image: request.image.parse().map_err(ServiceError::Image)?,
        key: key(request.key.as_deref())?,
        key_version: key_version(request.key_version)?,
        format: format(request.format.as_deref())?,
        annotations: Annotations::new(request.annotations).map_err(ServiceError::Annotations)?,
        recursive: request.recursive,
        respond_async: preferences.respond_async,
    })
}

pub fn key(name: Option<&str>) -> Result<Option<KeyName>, Problem> {
    name.map(key_name).transpose()
}

pub fn key_version(number: Option<u32>) -> Result<Option<KeyVersion>, Problem> {
    let version = |number| {
        KeyVersion::new(number).ok_or_else(|| {
            Problem::invalid("`key_version` is a number from 1; leave it out for the latest version.")
        })
    };
    number.map(version).transpose()
}

pub fn format(name: Option<&str>) -> Result<Option<Format>, Problem> {
    match name {
        None => Ok(None),
        Some("cosign") => Ok(Some(Format::Cosign)),
        Some("bundle") => Ok(Some(Format::Bundle)),
        Some(other) => Err(Problem::unknown_format(other)),
    }
}

impl SignatureBody {
    /// The answer that this is the body of. While the signature is on its way, it says where to ask.
    pub fn answer(&self, status: StatusCode) -> Result<Answer, Problem> {
        let answer = Answer::json(status, self)?;
        Ok(match (status, self.id) {
            (StatusCode::ACCEPTED, Some(id)) => answer.at(format!("/v1/signatures/{id}")),
            _ => answer,
        })
    }

    /// An image with what it lists.
    fn tree(answer: SignAnswer, request_id: &RequestId) -> Self {
        let one = |image: SignedImage| match image.result {
            Ok(MadeSignature { signature, created }) => Self::of(signature, created),
            Err(error) => Self::failed(&image.image, &Problem::from(error), request_id),
        };
        let children = answer.children.into_iter().map(one).collect();
        Self { children, ..one(answer.image) }
    }

    fn failed(image: &ImageReference, problem: &Problem, request_id: &RequestId) -> Self {
        Self {
            id: None,
            state: "failed",
            image: Some(image.to_string()),
            key: None,
            predicate_type: None,
            annotations: BTreeMap::new(),
            batch: None,
            signatures: Vec::new(),
            signed_at: None,
            log: None,
            problem: Some(problem.body(request_id)),
            children: Vec::new(),
        }
    }

    pub fn of(view: SignatureView, created: bool) -> Self {
        let SignatureView { record, payload, proof } = view;
        let layout = |(signature, _): (&Vec<u8>, _)| LayoutBody {
            format: record.signing.format,
            payload: payload.as_ref().map(|payload| STANDARD.encode(payload.to_bytes())),
            signature: STANDARD.encode(signature),
            reference: record.attachment().map(|attachment| attachment.reference.clone()),
            manifest: record.attachment().map(|attachment| attachment.manifest.to_string()),
            created,
        };
        Self {
            id: Some(record.signing.id),
            state: match &record.state {
                Stage::Pending => "pending",
                Stage::Indeterminate => "indeterminate",
                Stage::Signed { .. } => "signed",
                Stage::Attached { .. } => "attached",
                Stage::Failed { .. } | Stage::GivenUp { .. } => "failed",
            },
            image: record.subject.image().map(|image| image.to_string()),
            key: Some(KeyReferenceBody::of(&record.signing.key)),
            predicate_type: match &record.signing.claim {
                Claim::Attestation { predicate_type, .. } => Some(predicate_type.clone()),
                Claim::Image | Claim::Blob { .. } => None,
            },
            annotations: record.signing.annotations.as_map().clone(),
            batch: record.batch.filter(|_| matches!(record.state, Stage::Pending | Stage::Indeterminate)),
            signatures: record.signature().map(layout).into_iter().collect(),
            signed_at: record.signature().map(|(_, signed_at)| signed_at.to_string()),
            log: Some(LogBody { index: record.index, proof }),
            problem: None,
            children: Vec::new(),
        }
    }
}

impl KeyReferenceBody {
    pub fn of(key: &KeyReference) -> Self {
        Self {
            name: key.name.to_string(),
            version: key.version.get(),
            fingerprint: key.fingerprint.to_string(),
        }
    }
}

impl BatchResult {
    fn of(answer: Result<(StatusCode, SignatureBody), Problem>, request_id: &RequestId) -> Self {
        match answer {
            Ok((status, signature)) => {
                Self { status: status.as_u16(), signature: Some(signature), problem: None }
            }
            Err(problem) => Self {
                status: problem.status().as_u16(),
                signature: None,
                problem: Some(problem.body(request_id)),
            },
        }
    }
}
