//! `/v1/attestations`.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use super::ApiState;
use super::body::LargeBody;
use super::idempotency::IdempotencyKey;
use super::preference::Preferences;
use super::problem::{Problem, ProblemBody};
use super::signatures::{SignatureBody, format, key, key_version, status_of};
use crate::service::{AttestRequest, Caller, MAX_PREDICATE, PredicateType, ServiceError};

/// What to attest.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestationRequest {
    /// The image by its digest.
    #[schema(
        example = "registry.example.com/team/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    image: String,
    /// `slsaprovenance`, `slsaprovenance02`, `slsaprovenance1`, `spdx`, `spdxjson`, `cyclonedx`, `link`, `vuln`, `openvex`,
    /// `custom`, or a URI.
    #[schema(example = "cyclonedx")]
    predicate_type: String,
    /// A JSON object of at most 16 MiB. It is signed byte for byte as it stands here.
    #[serde(rename = "predicate")]
    #[schema(value_type = Object, example = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}))]
    _predicate: (),
    /// May be left out where policy leaves one choice.
    #[schema(example = "release")]
    key: Option<String>,
    /// Default: the latest.
    #[schema(minimum = 1)]
    key_version: Option<u32>,
    /// `cosign` or `bundle`. Default: what the image has already, else its registry's setting.
    #[schema(example = "cosign")]
    format: Option<String>,
    /// Whether attestations of the same type by any version of the same key give way. Not with bundles.
    #[serde(default)]
    replace: bool,
}

/// Attest something about an image
///
/// The same request again (type, bytes of the predicate, key version and format) answers 200 with what is there, and
/// changes nothing.
#[utoipa::path(post, path = "/v1/attestations", tag = "attestations", security(("bearer" = [])), request_body = AttestationRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body gets the same answer"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer 202 when it is signed, and attach it afterwards")),
    responses(
    (status = 201, description = "Signed or attached now", body = SignatureBody),
    (status = 200, description = "All was there already", body = SignatureBody),
    (status = 202, description = "Signed, and on its way to the registry; `Location` says where to ask", body = SignatureBody),
    (status = "4XX", description = "Refused; the detail says what to do", body = ProblemBody, content_type = "application/problem+json"),
    (status = "5XX", description = "Could not be done now; `Retry-After` says when to try again", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn attest(
    State(state): State<ApiState>,
    caller: Caller,
    preferences: Preferences,
    idempotency_key: IdempotencyKey,
    body: LargeBody<MAX_BODY>,
) -> Result<impl IntoResponse, Problem> {
    let request = parse(&body, preferences)?;
    let digest = body.digest("/v1/attestations");
    let LargeBody { bytes, share } = body;
    drop(bytes);
    let may = |request: &AttestRequest| state.service.may_attest(&caller, request);
    let operation = async |request| {
        let (service, caller, principal) = (state.service.clone(), caller.clone(), caller.principal.clone());
        let made = state.admission.run(&principal, async move {
            let made = service.attest(&caller, &request).await;
            // Until here, somebody holds the predicate.
            drop((request, share));
            made
        });
        let made = made.await??;
        let status = status_of([&made]);
        SignatureBody::of(made.signature, made.created).answer(status)
    };
    Ok((
        preferences.applied(),
        idempotency_key.answer(&state, &caller, digest, request, may, operation).await?,
    ))
}

/// Bytes of a body: the predicate, and what stands around it.
const MAX_BODY: usize = MAX_PREDICATE + 64 * 1024;

/// Strings become types, once. The predicate stays where it is.
fn parse(body: &LargeBody<MAX_BODY>, preferences: Preferences) -> Result<AttestRequest, Problem> {
    let (request, predicate) = body.json_around::<AttestationRequest>("predicate")?;
    let predicate_type: PredicateType = request.predicate_type.parse().map_err(ServiceError::from)?;
    Ok(AttestRequest {
        image: request.image.parse().map_err(ServiceError::Image)?,
        predicate_type,
        predicate,
        key: key(request.key.as_deref())?,
        key_version: key_version(request.key_version)?,
        format: format(request.format.as_deref())?,
        replace: request.replace,
        respond_async: preferences.respond_async,
    })
}
