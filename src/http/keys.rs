//! `/v1/keys`: public keys are public, so nothing here needs credentials.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

use super::path::Path;
use super::problem::{Problem, ProblemBody};
use crate::domain::{Key, KeyName, KeyVersion};
use crate::service::Service;

#[derive(Serialize, ToSchema)]
pub struct KeyList {
    keys: Vec<KeyBody>,
}

/// A key with the versions that Vault publishes.
#[derive(Serialize, ToSchema)]
pub struct KeyBody {
    #[schema(example = "release")]
    name: String,
    /// As Vault names it.
    #[schema(example = "ecdsa-p256")]
    r#type: String,
    latest_version: u32,
    versions: Vec<KeyVersionBody>,
}

#[derive(Serialize, ToSchema)]
pub struct KeyVersionBody {
    version: u32,
    #[schema(example = "2026-01-02T03:04:05Z")]
    created_at: String,
    /// `active`: signs when no version is named; `usable`: signs when it is named; `retired`: signs no more, and still verifies.
    #[schema(example = "active")]
    state: &'static str,
    /// SHA-256 over the DER of the SubjectPublicKeyInfo.
    fingerprint: String,
    /// PEM.
    public_key: String,
}

/// All keys
#[utoipa::path(get, path = "/v1/keys", tag = "keys", responses(
    (status = 200, body = KeyList),
    (status = 503, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(service): State<Arc<Service>>) -> Result<Json<KeyList>, Problem> {
    let keys = service.keys().await?;
    Ok(Json(KeyList { keys: keys.iter().map(|key| KeyBody::of(key)).collect() }))
}

/// One key
#[utoipa::path(get, path = "/v1/keys/{name}", tag = "keys", params(("name" = String, Path)), responses(
    (status = 200, body = KeyBody),
    (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn read(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
) -> Result<Json<KeyBody>, Problem> {
    Ok(Json(KeyBody::of(service.key(&key_name(&name)?).await?.as_ref())))
}

/// The public key of one version, as PEM
#[utoipa::path(get, path = "/v1/keys/{name}/versions/{version}/public-key", tag = "keys",
    params(("name" = String, Path), ("version" = u32, Path, description = "From 1")), responses(
    (status = 200, body = String, content_type = "application/x-pem-file"),
    (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn public_key(
    State(service): State<Arc<Service>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let name = key_name(&name)?;
    let version = version.parse().ok().and_then(KeyVersion::new);
    let version = version.ok_or_else(|| Problem::invalid("A key's version is a number from 1."))?;
    let key = service.public_key(&name, version).await?;
    Ok(([(CONTENT_TYPE, "application/x-pem-file")], key.to_pem()))
}

/// What can be no key's name is the name of no key.
pub fn key_name(text: &str) -> Result<KeyName, Problem> {
    text.parse().map_err(|error: crate::domain::KeyNameError| Problem::invalid(format!("`key`: {error}.")))
}

impl KeyBody {
    fn of(key: &Key) -> Self {
        let state = |version| match () {
            () if version == key.latest => "active",
            () if key.can_sign_with(version) => "usable",
            () => "retired",
        };
        let version =
            |(version, published): (&KeyVersion, &crate::domain::PublishedVersion)| KeyVersionBody {
                version: version.get(),
                created_at: published.created_at.to_string(),
                state: state(*version),
                fingerprint: published.public_key.fingerprint().to_string(),
                public_key: published.public_key.to_pem(),
            };
        Self {
            name: key.name.to_string(),
            r#type: key.key_type.to_string(),
            latest_version: key.latest.get(),
            versions: key.versions.iter().map(version).collect(),
        }
    }
}
