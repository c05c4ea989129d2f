//! Which image is meant: a repository on a registry, and a digest.

use std::fmt;
use std::str::FromStr;

use oci_distribution::{ParseError, Reference};
use serde::{Deserialize, Serialize};

use super::{Digest, DigestError, RegistryHost, RegistryHostError};

/// A repository on a registry, `registry.example.com/team/app`: the host, then the path in the grammar of the OCI
/// distribution specification. However a repository is written, this is one value: the host is a [`RegistryHost`], a
/// tag is dropped, and on Docker Hub a path of one component is below `library`.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    host: RegistryHost,
    path: String,
}

/// An image by digest, `registry.example.com/team/app@sha256:…`. A tag beside the digest is dropped: the digest decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    pub repository: Repository,
    pub digest: Digest,
}

/// Why a text is no image by digest. The sentences are meant for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error(
        "name the image by its digest, `host/repository@sha256:…`: a tag can move between the build and the signature"
    )]
    DigestRequired,
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error("begin the image with its registry's host, as in `registry.example.com/team/app@sha256:…`")]
    HostRequired,
    #[error(transparent)]
    Host(#[from] RegistryHostError),
    #[error("an image reference has at most {max} characters, this one has {0}", max = ImageReference::MAX_LENGTH)]
    TooLong(usize),
    #[error("a repository's name has at most 255 characters")]
    NameTooLong,
    #[error("a repository's name is written in lower case")]
    UpperCase,
    #[error(
        "the repository's name must be path components of a-z and 0-9, joined inside by `.`, `_` or `-`, and separated by `/`"
    )]
    Name,
}

impl Repository {
    /// The registry's host, with its port where it has one.
    pub fn host(&self) -> &str {
        self.host.as_str()
    }

    /// The repository's name on its registry, without the host.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Repository {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if text.len() > ImageReference::MAX_LENGTH {
            return Err(ImageError::TooLong(text.len()));
        }
        let (host, rest) = text.split_once('/').ok_or(ImageError::HostRequired)?;
        // Docker's shorthand would turn `team/app` into an image of Docker Hub. A service that
        // can write to many registries wants to be told which one is meant.
        if !RegistryHost::stands_alone(host) {
            return Err(ImageError::HostRequired);
        }
        let host: RegistryHost = host.parse()?;
        let (path, _tag) = rest.split_once(':').unwrap_or((rest, ""));
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ImageError::UpperCase);
        }
        let library =
            if host.as_str() == RegistryHost::DOCKER_HUB && !path.contains('/') { "library/" } else { "" };
        // The grammar's expressions take longer than all else that is done with a name; entries of the log are full of names.
        if text.len() <= PLAIN && is_plain(rest) {
            return Ok(Self { host, path: format!("{library}{rest}") });
        }
        let reference =
            Reference::try_from(format!("{host}/{library}{rest}")).map_err(|error| match error {
                ParseError::NameTooLong => ImageError::NameTooLong,
                _ => ImageError::Name,
            })?;
        Ok(Self { host, path: reference.repository().to_owned() })
    }
}

/// Characters of a name that can not be too long, however that is counted.
const PLAIN: usize = 240;

/// Whether `path` is a repository's name as nearly all are: without a tag, and with no two of `.`, `_` and `-` side by side.
fn is_plain(path: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    path.split('/').all(|component| {
        component.split(['.', '_', '-']).all(|part| !part.is_empty() && part.bytes().all(is_inner))
    })
}

impl TryFrom<String> for Repository {
    type Error = ImageError;

    fn try_from(text: String) -> Result<Self, ImageError> {
        text.parse()
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> Self {
        repository.to_string()
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl ImageReference {
    /// Bytes of a whole reference: 255 for the name, the rest for host, tag and digest.
    pub const MAX_LENGTH: usize = 640;
}

impl FromStr for ImageReference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(ImageError::TooLong(text.len()));
        }
        let (name, digest) = text.split_once('@').ok_or(ImageError::DigestRequired)?;
        let repository = name.parse()?;
        let digest = digest.parse()?;
        Ok(Self { repository, digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<String, ImageError> {
        let digest = Digest::of(b"image");
        format!("{name}@{digest}").parse::<ImageReference>().map(|image| image.repository.to_string())
    }

    proptest::proptest! {
        #[test]
        fn what_is_plain_is_a_name_as_the_library_reads_it(path in "[a-z0-9A-Z._/:@-]{0,12}", plain in "[a-z0-9]{1,3}([._/-][a-z0-9]{1,3}){0,4}") {
            for path in [path, plain] {
                if is_plain(&path) {
                    let reference = Reference::try_from(format!("registry.example.com/{path}")).unwrap();
                    assert_eq!((reference.repository(), reference.tag()), (path.as_str(), Some("latest")));
                }
            }
        }
    }

    #[test]
    fn a_reference_has_one_canonical_form() {
        for (name, canonical) in [
            ("registry.example.com/team/app", "registry.example.com/team/app"),
            ("REGISTRY.example.com/team/app", "registry.example.com/team/app"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("127.0.0.1:5000/a/b/c-d_e.f", "127.0.0.1:5000/a/b/c-d_e.f"),
            ("registry.example.com/team/app:1.2", "registry.example.com/team/app"),
            ("registry.example.com:443/team/app", "registry.example.com/team/app"),
            ("registry.example.com:443/team/app:1.2", "registry.example.com/team/app"),
            ("registry.example.com:80/team/app", "registry.example.com:80/team/app"),
            ("registry:443/team/app", "registry:443/team/app"),
            ("docker.io/nginx", "docker.io/library/nginx"),
            ("docker.io/nginx:1.2", "docker.io/library/nginx"),
            ("docker.io/library/nginx", "docker.io/library/nginx"),
            ("index.docker.io/team/app", "docker.io/team/app"),
            ("registry-1.docker.io:443/nginx", "docker.io/library/nginx"),
            ("registry.example.com/nginx", "registry.example.com/nginx"),
        ] {
            assert_eq!(parse(name).as_deref(), Ok(canonical), "{name}");
        }
    }

    #[test]
    fn a_name_that_could_mean_another_repository_is_refused() {
        for (name, error) in [
            ("app", ImageError::HostRequired),
            ("team/app", ImageError::HostRequired),
            ("registry.example.com/../app", ImageError::Name),
            ("registry.example.com/team/../app", ImageError::Name),
            ("registry.example.com/team//app", ImageError::Name),
            ("registry.example.com/team/app/", ImageError::Name),
            ("registry.example.com/team%2fapp", ImageError::Name),
            ("registry.example.com/team/app?x", ImageError::Name),
            ("registry.example.com/app:1:2", ImageError::Name),
            ("registry.example.com/:1", ImageError::Name),
            ("docker.io/:1", ImageError::Name),
            ("docker.io/", ImageError::Name),
            ("registry.example.com./team/app", ImageError::Host(RegistryHostError)),
            ("registry.example.com:0443/team/app", ImageError::Host(RegistryHostError)),
            ("[::1]:5000/team/app", ImageError::Host(RegistryHostError)),
            ("https://registry.example.com/team/app", ImageError::Host(RegistryHostError)),
            ("user@registry.example.com/team/app", ImageError::HostRequired),
            ("registry.example.com/Team/app", ImageError::UpperCase),
            ("", ImageError::HostRequired),
        ] {
            assert_eq!(parse(name), Err(error), "{name}");
        }
    }

    #[test]
    fn a_long_name_is_refused_before_it_is_read() {
        let host = "registry.example.com";
        assert_eq!(parse(&format!("{host}/{}", "a".repeat(300))), Err(ImageError::NameTooLong));
        let long = "a".repeat(100_000);
        assert!(matches!(parse(&format!("{host}/{long}")), Err(ImageError::TooLong(_))));
    }

    #[test]
    fn a_tag_alone_is_told_to_become_a_digest() {
        let tag = "registry.example.com/team/app:1".parse::<ImageReference>();
        assert_eq!(tag, Err(ImageError::DigestRequired));
    }
}
