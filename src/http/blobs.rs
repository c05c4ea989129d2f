//! `/v1/blobs`.

use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::ApiState;
use super::body::LargeBody;
use super::idempotency::{Answer, IdempotencyKey};
use super::problem::{Problem, ProblemBody};
use super::signatures::{KeyReferenceBody, LogBody, key, key_version};
use crate::domain::{Claim, SignatureId};
use crate::service::{Caller, File, ServiceError, SignBlobRequest, SignedBlob};

/// Which file to sign: by `digest` or by `content`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlobRequest {
    /// SHA-256 of the file. Not with an Ed25519 key, which signs the file itself, and not with a key that hashes with
    /// something else.
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: Option<String>,
    /// Base64 of the file, which has at most 4 MiB; with an Ed25519 key 768 KiB.
    content: Option<String>,
    /// What the log calls the file. At most 1,024 bytes; not signed.
    #[schema(example = "values.yaml")]
    name: Option<String>,
    /// At most 255 characters; for the log, and not signed.
    #[schema(example = "application/yaml")]
    media_type: Option<String>,
    /// May be left out where policy leaves one choice.
    #[schema(example = "release")]
    key: Option<String>,
    /// Default: the latest.
    #[schema(minimum = 1)]
    key_version: Option<u32>,
}

/// A signed file.
#[derive(Serialize, ToSchema)]
pub struct BlobBody {
    #[schema(value_type = String)]
    id: SignatureId,
    #[schema(example = "signed")]
    state: &'static str,
    /// SHA-256 of the file.
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    key: KeyReferenceBody,
    /// Base64, as `cosign verify-blob --signature` reads it from a file.
    signature: String,
    /// A Sigstore bundle v0.3, as `cosign verify-blob --bundle` reads it from a file.
    #[schema(value_type = Object)]
    bundle: Box<RawValue>,
    signed_at: String,
    log: LogBody,
}

/// Sign a file
///
/// The same request again (file, key version, name and media type) answers 200 with the same signature.
#[utoipa::path(post, path = "/v1/blobs", tag = "blobs", security(("bearer" = [])), request_body = BlobRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body gets the same answer")),
    responses(
    (status = 201, description = "Signed now", body = BlobBody),
    (status = 200, description = "Signed before", body = BlobBody),
    (status = "4XX", description = "Refused; the detail says what to do", body = ProblemBody, content_type = "application/problem+json"),
    (status = "5XX", description = "Could not be done now; `Retry-After` says when to try again", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn sign(
    State(state): State<ApiState>,
    caller: Caller,
    idempotency_key: IdempotencyKey,
    body: LargeBody<MAX_BODY>,
) -> Result<Answer, Problem> {
    let request = parse(body.json()?)?;
    let digest = body.digest("/v1/blobs");
    let LargeBody { bytes, share } = body;
    drop(bytes);
    let may = |request: &SignBlobRequest| state.service.may_sign_blob(&caller, request);
    let operation = async |request| {
        let (service, caller, principal) = (state.service.clone(), caller.clone(), caller.principal.clone());
        let signed = state.admission.run(&principal, async move {
            let signed = service.sign_blob(&caller, &request).await;
            // Until here, somebody holds the content.
            drop((request, share));
            signed
        });
        let signed = signed.await??;
        let status = if signed.created { StatusCode::CREATED } else { StatusCode::OK };
        Answer::json(status, &BlobBody::of(signed)?)
    };
    idempotency_key.answer(&state, &caller, digest, request, may, operation).await
}

/// Bytes of a file that is sent.
const MAX_CONTENT: usize = 4 * 1024 * 1024;
/// Bytes of a body: the file in base64, and what stands around it.
const MAX_BODY: usize = MAX_CONTENT / 3 * 4 + 64 * 1024;
/// Bytes of a file's name.
const MAX_NAME: usize = 1024;
/// Characters of a media type.
const MAX_MEDIA_TYPE: usize = 255;

/// Strings become types, once.
fn parse(request: BlobRequest) -> Result<SignBlobRequest, Problem> {
    let file = match (request.digest, request.content) {
        (Some(digest), None) => File::Digest(digest.parse().map_err(ServiceError::BlobDigest)?),
        (None, Some(content)) => {
            let content = STANDARD.decode(content).map_err(|_| {
                Problem::invalid("`content` is no base64 (RFC 4648, section 4, with padding).")
            })?;
            if content.len() > MAX_CONTENT {
                return Err(ServiceError::BlobTooLarge { limit: MAX_CONTENT }.into());
            }
            File::Content(content.into())
        }
        (None, None) => return Err(Problem::invalid("Send `digest` or `content`: the file to sign.")),
        (Some(_), Some(_)) => return Err(Problem::invalid("Send one of `digest` and `content`, not both.")),
    };
    if request.name.as_ref().is_some_and(|name| !is_name(name)) {
        return Err(Problem::invalid(format!("`name` has 1 to {MAX_NAME} bytes and no control characters.")));
    }
    if request.media_type.as_ref().is_some_and(|media_type| !is_media_type(media_type)) {
        return Err(Problem::invalid(format!(
            "`media_type` is written as in `application/json`, and has at most {MAX_MEDIA_TYPE} characters."
        )));
    }
    Ok(SignBlobRequest {
        file,
        name: request.name,
        media_type: request.media_type,
        key: key(request.key.as_deref())?,
        key_version: key_version(request.key_version)?,
    })
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A type and a subtype (RFC 6838), with or without parameters.
fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    text.len() <= MAX_MEDIA_TYPE
        && essence.trim_end().split_once('/').is_some_and(|(kind, subtype)| name(kind) && name(subtype))
        && parameters.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

impl BlobBody {
    fn of(signed: SignedBlob) -> Result<Self, Problem> {
        let record = signed.record;
        let (name, media_type) = match record.signing.claim {
            Claim::Blob { name, media_type } => (name, media_type),
            Claim::Image | Claim::Attestation { .. } => (None, None),
        };
        Ok(Self {
            id: record.signing.id,
            state: "signed",
            digest: record.subject.digest.to_string(),
            name,
            media_type,
            key: KeyReferenceBody::of(&record.signing.key),
            signature: STANDARD.encode(signed.signature),
            bundle: RawValue::from_string(signed.bundle).map_err(|_| Problem::internal())?,
            signed_at: signed.signed_at.to_string(),
            log: LogBody { index: record.index, proof: signed.proof },
        })
    }
}
