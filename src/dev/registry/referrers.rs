//! The [referrers API]: which manifests name a digest as their subject.
//!
//! [referrers API]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::fs;

use super::document::{Descriptor, INDEX};
use super::error::Error;
use super::layout::absent_as_none;
use super::names::{Digest, RepositoryName};
use super::{Parameters, Shared};

/// `GET`: an index of the referrers, by digest; empty where there are none, and where the subject or repository is unknown.
/// All of them in one answer, without pages.
pub(super) async fn list(
    shared: &Shared,
    repository: &RepositoryName,
    subject: &Digest,
    parameters: Parameters,
) -> Result<Response, Error> {
    let mut found = all(shared, repository, subject).await?;
    found.sort_by(|one, other| one.digest.cmp(&other.digest));
    let filtered = parameters.artifact_type.map(|wanted| {
        found.retain(|descriptor| descriptor.artifact_type.as_ref() == Some(&wanted));
        [("oci-filters-applied", "artifactType")]
    });
    let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": found});
    Ok((StatusCode::OK, [("content-type", INDEX)], filtered, body.to_string()).into_response())
}

pub(super) async fn add(
    shared: &Shared,
    repository: &RepositoryName,
    subject: &Digest,
    digest: &Digest,
    descriptor: &Descriptor,
) -> Result<(), Error> {
    let path = shared.layout.referrers(repository, subject).join(digest.hex());
    Ok(shared.layout.write(&path, json!(descriptor).to_string().as_bytes()).await?)
}

pub(super) async fn remove(
    shared: &Shared,
    repository: &RepositoryName,
    subject: &Digest,
    digest: &Digest,
) -> Result<(), Error> {
    let path = shared.layout.referrers(repository, subject).join(digest.hex());
    absent_as_none(fs::remove_file(path).await)?;
    Ok(())
}

/// Only those whose manifest is there: the entry is written first and removed last.
async fn all(
    shared: &Shared,
    repository: &RepositoryName,
    subject: &Digest,
) -> Result<Vec<Descriptor>, Error> {
    let directory = shared.layout.referrers(repository, subject);
    let Some(mut entries) = absent_as_none(fs::read_dir(directory).await)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let Some(content) = absent_as_none(fs::read(entry.path()).await)? else {
            continue;
        };
        let descriptor: Descriptor = serde_json::from_slice(&content).map_err(std::io::Error::from)?;
        let digest = Digest::parse(&descriptor.digest)?;
        if fs::try_exists(shared.layout.manifest(repository, &digest)).await? {
            found.push(descriptor);
        }
    }
    Ok(found)
}
