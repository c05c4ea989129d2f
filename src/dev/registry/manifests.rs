//! [Manifests], by tag and by digest.
//!
//! [Manifests]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests

use std::path::PathBuf;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use tokio::fs;

use super::document::Document;
use super::error::Error;
use super::layout::{Layout, MANIFEST_LIMIT, absent_as_none};
use super::names::{Digest, Reference, RepositoryName};
use super::{Shared, answer, referrers, tags};
use crate::dev::body;

/// `GET` and `HEAD`: the bytes as they were pushed, under the media type that they were pushed with.
pub(super) async fn read(
    shared: &Shared,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Response, Error> {
    let digest = resolve(shared, repository, reference).await?;
    let stored = load(&shared.layout, repository, &digest).await?;
    let stored = stored.ok_or(Error::ManifestUnknown)?;
    Ok((
        StatusCode::OK,
        [
            ("content-type", stored.media_type),
            ("docker-content-digest", digest.to_string()),
            ("etag", format!("\"{digest}\"")),
        ],
        stored.bytes,
    )
        .into_response())
}

/// `PUT`: takes the manifest if it is well formed and everything below it is here. Its subject need not be.
pub(super) async fn write(
    shared: &Shared,
    repository: &RepositoryName,
    reference: &Reference,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, MANIFEST_LIMIT).await?;
    let digest = Digest::from_hash(&Sha256::digest(&bytes).into());
    if matches!(reference, Reference::Digest(expected) if *expected != digest) {
        return Err(Error::DigestInvalid("provided digest did not match uploaded content"));
    }
    let document = Document::parse(&bytes, content_type(&parts.headers))?;

    let changing = shared.changes.lock().await;
    require_references(&shared.layout, repository, &document).await?;
    if let Some(subject) = &document.subject {
        // Before the manifest itself, so that no crash leaves a manifest that its subject does not list.
        referrers::add(shared, repository, subject, &digest, &document.descriptor(&digest, bytes.len()))
            .await?;
    }
    let path = shared.layout.manifest(repository, &digest);
    shared.layout.write(&path, &stored_form(&document.media_type, &bytes)).await?;
    if let Reference::Tag(tag) = reference {
        tags::point(shared, repository, tag, &digest).await?;
    }
    drop(changing);

    let subject = document.subject.map(|subject| [("oci-subject", subject.to_string())]);
    let headers = [
        ("location", format!("/v2/{}/manifests/{digest}", repository.as_str())),
        ("docker-content-digest", digest.to_string()),
    ];
    Ok((StatusCode::CREATED, subject, headers).into_response())
}

/// `DELETE`: a tag alone, or by digest the manifest with every tag that points at it.
pub(super) async fn delete(
    shared: &Shared,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Response, Error> {
    let _changing = shared.changes.lock().await;
    match reference {
        Reference::Tag(tag) => {
            let removed = fs::remove_file(shared.layout.tag(repository, tag)).await;
            absent_as_none(removed)?.ok_or(Error::ManifestUnknown)?;
        }
        Reference::Digest(digest) => {
            let stored = load(&shared.layout, repository, digest).await?;
            let stored = stored.ok_or(Error::ManifestUnknown)?;
            tags::remove_all(shared, repository, digest).await?;
            fs::remove_file(shared.layout.manifest(repository, digest)).await?;
            let document = Document::parse(&stored.bytes, Some(&stored.media_type))?;
            if let Some(subject) = &document.subject {
                referrers::remove(shared, repository, subject, digest).await?;
            }
        }
    }
    Ok(answer(StatusCode::ACCEPTED, []))
}

async fn resolve(
    shared: &Shared,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Digest, Error> {
    match reference {
        Reference::Digest(digest) => Ok(digest.clone()),
        Reference::Tag(tag) => tags::resolve(shared, repository, tag).await?.ok_or(Error::ManifestUnknown),
    }
}

/// A manifest as it lies on the disk.
struct Stored {
    media_type: String,
    bytes: Vec<u8>,
}

async fn load(
    layout: &Layout,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<Stored>, Error> {
    let read = fs::read(layout.manifest(repository, digest)).await;
    let Some(mut file) = absent_as_none(read)? else {
        return Ok(None);
    };
    // Written by `stored_form`: there is a first line, and it is text. Another file reads as one without a type.
    let end = file.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let bytes = file.split_off(file.len().min(end + 1));
    file.truncate(end);
    let media_type = String::from_utf8_lossy(&file).into_owned();
    Ok(Some(Stored { media_type, bytes }))
}

fn stored_form(media_type: &str, bytes: &[u8]) -> Vec<u8> {
    [media_type.as_bytes(), b"\n", bytes].concat()
}

/// The media type without parameters; `None` when the client did not say.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim).filter(|value| !value.is_empty())
}

async fn require_references(
    layout: &Layout,
    repository: &RepositoryName,
    document: &Document,
) -> Result<(), Error> {
    let blobs = document.blobs.iter().map(|digest| (digest, layout.blob(repository, digest)));
    let manifests = document.manifests.iter().map(|digest| (digest, layout.manifest(repository, digest)));
    let needed: Vec<(&Digest, PathBuf)> = blobs.chain(manifests).collect();
    for (digest, path) in needed {
        if !fs::try_exists(path).await? {
            return Err(Error::ManifestBlobUnknown(digest.clone()));
        }
    }
    Ok(())
}
