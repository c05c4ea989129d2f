//! Reading and deleting blobs.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::io::SeekFrom;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::error::Error;
use super::layout::absent_as_none;
use super::names::{Digest, RepositoryName};
use super::{Shared, answer, range};

/// `GET` and `HEAD`: the blob or the one range asked for, streamed from its file.
pub(super) async fn read(
    shared: &Shared,
    repository: &RepositoryName,
    digest: &Digest,
    request: &HeaderMap,
) -> Result<Response, Error> {
    let path = shared.layout.blob(repository, digest);
    let mut file = absent_as_none(File::open(path).await)?.ok_or(Error::BlobUnknown)?;
    let size = file.metadata().await?.len();
    let headers = [
        ("content-type", "application/octet-stream".to_owned()),
        ("docker-content-digest", digest.to_string()),
        ("etag", format!("\"{digest}\"")),
        ("accept-ranges", "bytes".to_owned()),
    ];
    let response = match range::requested(request, size)? {
        None => (
            StatusCode::OK,
            headers,
            [("content-length", size.to_string())],
            Body::from_stream(ReaderStream::new(file)),
        )
            .into_response(),
        Some((first, last)) => {
            let length = last - first + 1;
            file.seek(SeekFrom::Start(first)).await?;
            (
                StatusCode::PARTIAL_CONTENT,
                headers,
                [
                    ("content-length", length.to_string()),
                    ("content-range", format!("bytes {first}-{last}/{size}")),
                ],
                Body::from_stream(ReaderStream::new(file.take(length))),
            )
                .into_response()
        }
    };
    Ok(response)
}

/// `DELETE`: the blob leaves this repository, whether or not a manifest still names it.
pub(super) async fn delete(
    shared: &Shared,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Response, Error> {
    let _changing = shared.changes.lock().await;
    let removed = fs::remove_file(shared.layout.blob(repository, digest)).await;
    absent_as_none(removed)?.ok_or(Error::BlobUnknown)?;
    Ok(answer(StatusCode::ACCEPTED, []))
}
