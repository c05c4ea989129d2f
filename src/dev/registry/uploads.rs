//! [Pushing blobs]: in one request, in two, in chunks, or by mounting what another repository has.
//!
//! [Pushing blobs]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use tokio::fs;
use uuid::Uuid;

use super::error::Error;
use super::layout::{make_parent, move_into_place};
use super::names::{Digest, RepositoryName};
use super::session::Session;
use super::{Parameters, Shared, answer};

/// `POST`: opens a session (202), or takes the blob at once (201) where it can be mounted or the request says its digest.
pub(super) async fn start(
    shared: &Arc<Shared>,
    repository: RepositoryName,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    if let (Some(digest), Some(from)) = (&parameters.mount, &parameters.from) {
        let (digest, from) = (Digest::parse(digest)?, RepositoryName::parse(from)?);
        if mount(shared, &repository, &digest, &from).await? {
            return Ok(created(&repository, &digest));
        }
    }
    let id = Uuid::new_v4();
    let file = shared.layout.upload(id);
    fs::write(&file, []).await?;
    shared.sessions.start(id, repository.clone(), file);
    if parameters.digest.is_some() {
        finish(shared, repository, id, parameters, request).await
    } else {
        Ok(in_progress(StatusCode::ACCEPTED, &repository, id, 0))
    }
}

/// `GET`: how far the upload is.
pub(super) async fn status(
    shared: &Shared,
    repository: &RepositoryName,
    id: Uuid,
) -> Result<Response, Error> {
    let session = shared.sessions.find(id, repository)?;
    let received = session.lock().await.received();
    Ok(in_progress(StatusCode::NO_CONTENT, repository, id, received))
}

/// `PATCH`: one more chunk. With `Content-Range` it has to start where the last one ended (416), without it is appended.
pub(super) async fn append(
    shared: &Arc<Shared>,
    repository: RepositoryName,
    id: Uuid,
    request: Request,
) -> Result<Response, Error> {
    let session = shared.sessions.find(id, &repository)?;
    to_the_end(async move {
        let mut session = session.lock().await;
        take_chunk(&mut session, &repository, id, request).await?;
        Ok(in_progress(StatusCode::ACCEPTED, &repository, id, session.received()))
    })
    .await
}

/// `PUT`: the last chunk, which may be empty, and the digest of the whole.
pub(super) async fn finish(
    shared: &Arc<Shared>,
    repository: RepositoryName,
    id: Uuid,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let digest = parameters.digest.ok_or(Error::DigestInvalid("the digest parameter is missing"))?;
    let digest = Digest::parse(&digest)?;
    let session = shared.sessions.find(id, &repository)?;
    let shared = shared.clone();
    to_the_end(async move {
        let mut session = session.lock().await;
        take_chunk(&mut session, &repository, id, request).await?;
        shared.sessions.forget(id);
        let file = session.finish(&digest).await?;
        move_into_place(&file, &shared.layout.blob(&repository, &digest)).await?;
        Ok(created(&repository, &digest))
    })
    .await
}

/// `DELETE`: gives the upload up.
pub(super) async fn cancel(
    shared: &Shared,
    repository: &RepositoryName,
    id: Uuid,
) -> Result<Response, Error> {
    let session = shared.sessions.find(id, repository)?;
    shared.sessions.forget(id);
    session.lock().await.cancel().await?;
    Ok(answer(StatusCode::NO_CONTENT, []))
}

async fn take_chunk(
    session: &mut Session,
    repository: &RepositoryName,
    id: Uuid,
    request: Request,
) -> Result<(), Error> {
    let (parts, body): (_, Body) = request.into_parts();
    if let Some((first, last)) = content_range(&parts.headers)? {
        if first != session.received() {
            return Err(Error::UploadRange {
                location: upload_location(repository, id),
                range: received_range(session.received()),
            });
        }
        let length = content_length(&parts.headers);
        if last < first || length.is_some_and(|length| length != last - first + 1) {
            return Err(Error::SizeInvalid);
        }
    }
    session.append(body).await
}

/// Runs `work` as a task of its own: a client that hangs up drops the request, and a write that is under way must not end
/// in the middle while the next request of the same upload already begins.
async fn to_the_end(
    work: impl Future<Output = Result<Response, Error>> + Send + 'static,
) -> Result<Response, Error> {
    tokio::spawn(work).await.map_err(io::Error::other)?
}

/// A hard link, so that deleting the blob in one repository leaves it in the other. False where `from` does not have it.
async fn mount(
    shared: &Shared,
    repository: &RepositoryName,
    digest: &Digest,
    from: &RepositoryName,
) -> Result<bool, Error> {
    let target = shared.layout.blob(repository, digest);
    make_parent(&target).await?;
    match fs::hard_link(shared.layout.blob(from, digest), &target).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn created(repository: &RepositoryName, digest: &Digest) -> Response {
    answer(
        StatusCode::CREATED,
        [
            ("location", format!("/v2/{}/blobs/{digest}", repository.as_str())),
            ("docker-content-digest", digest.to_string()),
        ],
    )
}

fn in_progress(status: StatusCode, repository: &RepositoryName, id: Uuid, received: u64) -> Response {
    answer(
        status,
        [
            ("location", upload_location(repository, id)),
            ("range", received_range(received)),
            ("docker-upload-uuid", id.to_string()),
        ],
    )
}

fn upload_location(repository: &RepositoryName, id: Uuid) -> String {
    format!("/v2/{}/blobs/uploads/{id}", repository.as_str())
}

/// First and last byte. Nothing received is told as `0-0` too: the notation has no empty range.
fn received_range(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

/// `<first>-<last>`, both inclusive, without a unit: not the `Content-Range` of HTTP.
fn content_range(headers: &HeaderMap) -> Result<Option<(u64, u64)>, Error> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let bounds = value.to_str().ok().and_then(|text| {
        let (first, last) = text.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    });
    bounds.map(Some).ok_or(Error::ContentRangeInvalid)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
