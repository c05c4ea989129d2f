//! Tags: where they point, and the [list] of them.
//!
//! [list]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::fs;

use super::error::Error;
use super::layout::absent_as_none;
use super::names::{Digest, RepositoryName, Tag};
use super::{Parameters, Shared};

/// `GET`: at most `n` tags behind `last`, ordered without regard to case, with a `Link` to the next page where there is one.
pub(super) async fn list(
    shared: &Shared,
    repository: &RepositoryName,
    parameters: Parameters,
) -> Result<Response, Error> {
    if !shared.layout.is_known(repository).await? {
        return Err(Error::NameUnknown);
    }
    let limit = match &parameters.n {
        Some(text) => text.parse().map_err(|_| Error::PageSizeInvalid)?,
        None => usize::MAX,
    };
    let mut tags = all(shared, repository).await?;
    if let Some(last) = &parameters.last {
        tags.retain(|tag| order(tag) > order(last));
    }
    tags.sort_by(|one, other| order(one).cmp(&order(other)));
    let cut = tags.len() > limit;
    tags.truncate(limit);

    let next = tags.last().filter(|_| cut).map(|last| {
        let name = repository.as_str();
        let link = format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\"");
        [("link", link)]
    });
    Ok((next, Json(json!({"name": repository.as_str(), "tags": tags}))).into_response())
}

pub(super) async fn resolve(
    shared: &Shared,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Option<Digest>, Error> {
    let content = absent_as_none(fs::read_to_string(shared.layout.tag(repository, tag)).await)?;
    content.map(|digest| Digest::parse(&digest)).transpose()
}

pub(super) async fn point(
    shared: &Shared,
    repository: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
) -> Result<(), Error> {
    let path = shared.layout.tag(repository, tag);
    Ok(shared.layout.write(&path, digest.to_string().as_bytes()).await?)
}

/// Removes every tag that points at `digest`.
pub(super) async fn remove_all(
    shared: &Shared,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<(), Error> {
    for name in all(shared, repository).await? {
        let tag = Tag::parse(&name)?;
        if resolve(shared, repository, &tag).await?.as_ref() == Some(digest) {
            fs::remove_file(shared.layout.tag(repository, &tag)).await?;
        }
    }
    Ok(())
}

async fn all(shared: &Shared, repository: &RepositoryName) -> Result<Vec<String>, Error> {
    let directory = shared.layout.tags(repository);
    let Some(mut entries) = absent_as_none(fs::read_dir(directory).await)? else {
        return Ok(Vec::new());
    };
    let mut tags = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        // The directory holds what `point` wrote: names of tags, which are ASCII.
        tags.extend(entry.file_name().into_string());
    }
    Ok(tags)
}

/// Lexical without regard to case, as the specification says; case decides between equals.
fn order(tag: &str) -> (String, &str) {
    (tag.to_ascii_lowercase(), tag)
}
