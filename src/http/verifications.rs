//! `/v1/verifications`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiState;
use super::body::Body;
use super::keys::key_name;
use super::problem::{Problem, ProblemBody};
use super::signatures::{KeyReferenceBody, key_version};
use crate::domain::{Annotations, Format};
use crate::service::{Caller, Inspected, ServiceError, Verification, VerifyRequest};

/// What to verify.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerificationRequest {
    /// The image by its digest.
    #[schema(
        example = "registry.example.com/team/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    image: String,
    /// Whose signature is asked for.
    #[schema(example = "release")]
    key: String,
    /// Default: any version, also one that signs no more.
    #[schema(minimum = 1)]
    key_version: Option<u32>,
    /// What the signature has to say, whatever else it says.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Asks for an attestation of this type instead of a signature: a short name such as `spdx`, or a URI.
    #[schema(example = "https://slsa.dev/provenance/v1")]
    predicate_type: Option<String>,
}

/// Whether the image is signed, and everything that was found on it.
#[derive(Serialize, ToSchema)]
pub struct VerificationBody {
    /// `signed` where at least one verdict is `verified`, else `unsigned`. That nobody could tell is a problem, and
    /// never `unsigned`.
    #[schema(example = "signed")]
    state: &'static str,
    image: String,
    key: String,
    signatures: Vec<InspectedBody>,
}

/// One signature, and what is to be said of it.
#[derive(Serialize, ToSchema)]
pub struct InspectedBody {
    /// - `verified`: all that was asked for;
    /// - `overlooked`: it would be, but the image has a bundle, and verifiers look at bundles alone then;
    /// - `other-key`: no version of the key made it: another key did, or somebody changed it;
    /// - `key-id`: a bundle that names its key: verifiers skip it, unless it is by the name that they expect;
    /// - `signature-count`: a bundle with no signature, or with several;
    /// - `other-version`: another version of the key made it than was asked for;
    /// - `digest-mismatch`: the key signed another digest;
    /// - `repository-mismatch`: the key signed this digest in another repository;
    /// - `annotations-missing`: it does not say what was asked for;
    /// - `predicate-type`: it says something else of the image, such as an attestation where a signature was asked for;
    /// - `no-statement`: it signs bytes, and says nothing of an image;
    /// - `media-type`: its manifest calls it something else than a signature;
    /// - `payload-missing`: the registry has not what the manifest names;
    /// - `too-large`: it is larger than a signature may be, and was not looked at;
    /// - `malformed`: it can not be read;
    /// - `could-not-tell`: the registry did not hand it over.
    #[schema(example = "verified")]
    verdict: &'static str,
    format: Format,
    /// Where it hangs.
    reference: String,
    /// Digest of the manifest that carries it.
    manifest: String,
    /// Digest of the payload, the envelope or the bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
    /// The version of the key that made it. Where no version did, nothing is told of what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyReferenceBody>,
    /// What it says.
    #[schema(value_type = BTreeMap<String, Object>)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, serde_json::Value>,
    /// What kind of statement it is; none for a simple-signing payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<String>,
    /// Where Signet's log knows the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_at: Option<String>,
}

/// Verify an image
///
/// Looks at both layouts with every version of the key, as `cosign verify` would with the right one. Answers 200
/// whether the image is signed or not.
#[utoipa::path(post, path = "/v1/verifications", tag = "verifications", security(("bearer" = [])), request_body = VerificationRequest, responses(
    (status = 200, description = "Signed or unsigned, and why", body = VerificationBody),
    (status = "4XX", description = "Refused; the detail says what to do", body = ProblemBody, content_type = "application/problem+json"),
    (status = "5XX", description = "Could not tell; `Retry-After` says when to try again", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn verify(
    State(state): State<ApiState>,
    caller: Caller,
    body: Body,
) -> Result<Json<VerificationBody>, Problem> {
    let request = parse(body.json()?)?;
    let (service, limit) = (state.service.clone(), state.request_timeout);
    // Looking may be stopped anywhere, so that it is when nobody waits for it any more.
    let principal = caller.principal.clone();
    let looking = async move { tokio::time::timeout(limit, service.verify(&caller, request)).await };
    let answer = state.admission.run(&principal, looking).await?.map_err(|_| Problem::timeout(limit))?;
    Ok(Json(VerificationBody::of(answer?)))
}

/// Strings become types, once.
fn parse(request: VerificationRequest) -> Result<VerifyRequest, Problem> {
    Ok(VerifyRequest {
        image: request.image.parse().map_err(ServiceError::Image)?,
        key: key_name(&request.key)?,
        key_version: key_version(request.key_version)?,
        annotations: Annotations::new(request.annotations).map_err(ServiceError::Annotations)?,
        predicate_type: request.predicate_type,
    })
}

impl VerificationBody {
    fn of(verification: Verification) -> Self {
        Self {
            state: if verification.is_signed() { "signed" } else { "unsigned" },
            image: verification.image.to_string(),
            key: verification.key.to_string(),
            signatures: verification.signatures.into_iter().map(InspectedBody::of).collect(),
        }
    }
}

impl InspectedBody {
    fn of(inspected: Inspected) -> Self {
        let Inspected { format, attachment, blob, verdict, statement } = inspected;
        let mut body = Self {
            verdict: verdict.code(),
            format,
            reference: attachment.reference,
            manifest: attachment.manifest.to_string(),
            blob: blob.map(|blob| blob.to_string()),
            key: None,
            annotations: BTreeMap::new(),
            predicate_type: None,
            signed_at: None,
        };
        if let Some(statement) = statement {
            body.key = Some(KeyReferenceBody::of(&statement.key));
            body.annotations = statement.annotations;
            body.predicate_type = statement.predicate_type;
            body.signed_at = statement.signed_at.map(|signed_at| signed_at.to_string());
        }
        body
    }
}
