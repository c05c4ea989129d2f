//! `/v1/keys`: public keys are public, so nothing here needs credentials.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::path::Path;
use super::problem::{Problem, ProblemBody};
use crate::domain::{HashAlgorithm, Key, KeyName, KeyType, KeyVersion, PublishedVersion, Timestamp};
use crate::service::Service;

#[derive(Serialize, ToSchema)]
pub struct KeyList {
    pub keys: Vec<KeyBody>,
}

/// A key with all versions that are known: those that Vault publishes, and those that it once published.
#[derive(Serialize, ToSchema)]
pub struct KeyBody {
    #[schema(example = "release")]
    name: String,
    /// As Vault names it.
    #[schema(example = "ecdsa-p256")]
    r#type: String,
    /// What is hashed with before signing. None for ed25519, which hashes by itself.
    #[schema(example = "sha2-256")]
    hash: Option<&'static str>,
    latest_version: u32,
    /// Whether Vault has the key now. A key that was deleted there signs nothing, and what it signed still verifies.
    in_vault: bool,
    /// How often Vault makes a new version by itself, in seconds; none where it does not.
    auto_rotate_period: Option<u64>,
    versions: Vec<KeyVersionBody>,
    /// Versions of a key of the same name that was deleted in Vault before this one was made: their numbers are those of
    /// other key pairs now. Their fingerprints tell them apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    former: Vec<KeyVersionBody>,
}

#[derive(Serialize, ToSchema)]
pub struct KeyVersionBody {
    version: u32,
    /// `active`: signs when no version is named; `usable`: signs when it is named; `retired`: signs no more, and still
    /// verifies; `replaced`: of a key that was deleted in Vault, and still verifies.
    #[schema(example = "active")]
    state: &'static str,
    /// The type of the key, with the padding of RSA and what is hashed with.
    #[schema(example = "ecdsa-p256-sha2-256")]
    algorithm: String,
    /// SHA-256 over the DER of the SubjectPublicKeyInfo. It stands in the annotations of signatures.
    fingerprint: String,
    #[schema(example = "2026-01-02T03:04:05Z")]
    created_at: String,
    /// From when to when this version signed unless a request named another: from when it was made until the next one
    /// was. A `usable` version may sign later.
    #[schema(example = "2026-01-02T03:04:05Z")]
    active_from: String,
    /// None where no version was made after it.
    active_until: Option<String>,
    /// PEM.
    public_key: String,
}

/// All keys
#[utoipa::path(get, path = "/v1/keys", tag = "keys", responses(
    (status = 200, body = KeyList),
    (status = 503, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(service): State<Arc<Service>>) -> Result<Json<KeyList>, Problem> {
    Ok(Json(KeyList::read(&service).await?))
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
    Ok(([(CONTENT_TYPE, PEM_FILE)], key.to_pem()))
}

/// The public keys of all versions in one PEM file, newest first
///
/// For verifiers that take several keys. `cosign` reads the first one alone.
#[utoipa::path(get, path = "/v1/keys/{name}/public-keys", tag = "keys", params(("name" = String, Path)), responses(
    (status = 200, body = String, content_type = "application/x-pem-file"),
    (status = 404, body = ProblemBody, content_type = "application/problem+json")))]
pub async fn public_keys(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let keys = service.public_keys(&key_name(&name)?).await?;
    let pem: String = keys.iter().map(crate::domain::PublicKey::to_pem).collect();
    Ok(([(CONTENT_TYPE, PEM_FILE)], pem))
}

const PEM_FILE: &str = "application/x-pem-file";

/// What can be no key's name is the name of no key.
pub fn key_name(text: &str) -> Result<KeyName, Problem> {
    text.parse().map_err(|error: crate::domain::KeyNameError| Problem::invalid(format!("`key`: {error}.")))
}

impl KeyList {
    pub async fn read(service: &Service) -> Result<Self, Problem> {
        let keys = service.keys().await?;
        Ok(Self { keys: keys.iter().map(|key| KeyBody::of(key)).collect() })
    }
}

impl KeyBody {
    fn of(key: &Key) -> Self {
        let body = |version: KeyVersion, published: &PublishedVersion, state| KeyVersionBody {
            version: version.get(),
            state,
            algorithm: algorithm(published.public_key.key_type(), key.hash),
            fingerprint: published.public_key.fingerprint().to_string(),
            created_at: published.created_at.to_string(),
            active_from: published.created_at.to_string(),
            active_until: successor(key, published.created_at).map(|time| time.to_string()),
            public_key: published.public_key.to_pem(),
        };
        let versions = key.versions.iter();
        let former = key.former.iter();
        Self {
            name: key.name.to_string(),
            r#type: key.key_type.to_string(),
            hash: (key.key_type != KeyType::Ed25519).then_some(key.hash.as_str()),
            latest_version: key.latest.get(),
            in_vault: key.in_vault,
            auto_rotate_period: key.auto_rotate_period.map(|period| period.as_secs()),
            versions: versions
                .map(|(version, published)| body(*version, published, state_of(key, *version)))
                .collect(),
            former: former.map(|(version, published)| body(*version, published, "replaced")).collect(),
        }
    }
}

/// Whether a version signs: see [`KeyVersionBody`].
pub fn state_of(key: &Key, version: KeyVersion) -> &'static str {
    match () {
        () if !key.can_sign_with(version) => "retired",
        () if version == key.latest => "active",
        () => "usable",
    }
}

/// When the next version was made after the one that was made at `time`.
pub fn successor(key: &Key, time: Timestamp) -> Option<Timestamp> {
    let versions = key.versions.values().chain(key.former.iter().map(|(_, published)| published));
    versions.map(|published| published.created_at).filter(|later| *later > time).min()
}

fn algorithm(key_type: &KeyType, hash: HashAlgorithm) -> String {
    match key_type {
        KeyType::Ed25519 | KeyType::Unsupported(_) => key_type.to_string(),
        KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => format!("{key_type}-{hash}"),
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => format!("{key_type}-pkcs1v15-{hash}"),
    }
}
