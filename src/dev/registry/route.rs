//! What a path below `/v2/` asks for.

use uuid::Uuid;

use super::error::Error;
use super::names::{Digest, Reference, RepositoryName};

/// One resource of one repository.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub(super) repository: RepositoryName,
    pub(super) resource: Resource,
}

/// The [endpoints] of the specification that need a repository.
///
/// [endpoints]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints
#[derive(Debug, PartialEq)]
pub(super) enum Resource {
    Blob(Digest),
    Uploads,
    Upload(Uuid),
    Manifest(Reference),
    Referrers(Digest),
    Tags,
}

impl Target {
    /// Takes `path` (below `/v2/`, percent-decoded) apart from its end, because a repository may itself be called
    /// `team/blobs` or `tags/list`.
    pub(super) fn parse(path: &str) -> Result<Self, Error> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if let Some(repository) = path.strip_suffix("/blobs/uploads") {
            return Self::new(repository, || Ok(Resource::Uploads));
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Self::new(repository, || Ok(Resource::Tags));
        }
        let (rest, last) = path.rsplit_once('/').ok_or(Error::NoSuchEndpoint)?;
        if let Some(repository) = rest.strip_suffix("/blobs/uploads") {
            Self::new(repository, || {
                Uuid::parse_str(last).map(Resource::Upload).map_err(|_| Error::UploadUnknown)
            })
        } else if let Some(repository) = rest.strip_suffix("/blobs") {
            Self::new(repository, || Digest::parse(last).map(Resource::Blob))
        } else if let Some(repository) = rest.strip_suffix("/manifests") {
            Self::new(repository, || Reference::parse(last).map(Resource::Manifest))
        } else if let Some(repository) = rest.strip_suffix("/referrers") {
            Self::new(repository, || Digest::parse(last).map(Resource::Referrers))
        } else {
            Err(Error::NoSuchEndpoint)
        }
    }

    /// The name is judged before the rest, so that a bad name is always told as such.
    fn new(repository: &str, resource: impl FnOnce() -> Result<Resource, Error>) -> Result<Self, Error> {
        Ok(Self { repository: RepositoryName::parse(repository)?, resource: resource()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository_of(path: &str) -> String {
        Target::parse(path).unwrap().repository.as_str().to_owned()
    }

    #[test]
    fn a_repository_may_be_named_like_an_endpoint() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(repository_of("a/blobs/uploads/"), "a");
        assert_eq!(repository_of("a/blobs/blobs/uploads/"), "a/blobs");
        assert_eq!(repository_of(&format!("a/blobs/uploads/blobs/{digest}")), "a/blobs/uploads");
        assert_eq!(repository_of("tags/list/tags/list"), "tags/list");
        assert_eq!(repository_of("tags/manifests/list"), "tags");
        assert_eq!(repository_of(&format!("a/b/c/referrers/{digest}")), "a/b/c");
    }

    #[test]
    fn nothing_outside_the_grammar_becomes_a_target() {
        for bad in [
            "",
            "a",
            "../manifests/x",
            "a/../b/tags/list",
            "/manifests/x",
            "a/manifests/..",
            "a/blobs/uploads/../x",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
