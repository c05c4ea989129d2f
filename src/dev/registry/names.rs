//! Repository names, tags and digests by the [grammars] of the specification.
//!
//! All three become file names here, and no value of these types can leave the registry's directory: none holds `..`, an
//! empty component, an absolute path or a byte outside the grammar.
//!
//! [grammars]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests

use std::fmt;

use super::error::Error;

/// A repository: lower-case components with slashes between, at most 255 bytes. No component starts with `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RepositoryName(String);

impl RepositoryName {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        const LONGEST: usize = 255;
        if text.len() <= LONGEST && text.split('/').all(is_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::NameInvalid)
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The digest of a blob or manifest: `sha256:` and 64 lower-case hexadecimal digits. Other algorithms are not stored here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    hex: String,
}

impl Digest {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (algorithm, hex) =
            text.split_once(':').ok_or(Error::DigestInvalid("a digest is <algorithm>:<hex>"))?;
        if algorithm != "sha256" {
            return Err(Error::DigestInvalid("this registry stores sha256 digests only"));
        }
        let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != 64 || !hex.bytes().all(is_lower_hex) {
            return Err(Error::DigestInvalid("a sha256 digest has 64 lower-case hexadecimal digits"));
        }
        Ok(Self { hex: hex.to_owned() })
    }

    /// The digest that a finished hash gives.
    pub(super) fn from_hash(hash: &[u8; 32]) -> Self {
        Self { hex: hex::encode(hash) }
    }

    pub(super) fn hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.hex)
    }
}

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Tag(Tag),
    Digest(Digest),
}

impl Reference {
    /// A text with a colon is a digest, any other a tag.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        if text.contains(':') {
            Digest::parse(text).map(Self::Digest)
        } else {
            Tag::parse(text).map(Self::Tag)
        }
    }
}

/// A tag: up to 128 of `[A-Za-z0-9_.-]`, the first neither `.` nor `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    /// What cannot be a tag is answered as a tag that is not there, as other registries do.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        const LONGEST: usize = 128;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let [first, rest @ ..] = text.as_bytes() else {
            return Err(Error::ManifestUnknown);
        };
        if text.len() <= LONGEST
            && word(*first)
            && rest.iter().all(|&byte| word(byte) || byte == b'.' || byte == b'-')
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::ManifestUnknown)
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.split(alphanumeric).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_name_follows_the_grammar() {
        for good in ["a", "team/app", "a.b/c_d/e__f/g---h/0", "blobs/uploads", &"a".repeat(255)] {
            assert!(RepositoryName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/../b",
            "A",
            "a.",
            "-a",
            "a..b",
            "a___b",
            "a._b",
            "_blobs",
            "a/_tags",
            "a b",
            "a\0",
            "é",
            "a%2fb",
            &"a".repeat(256),
        ] {
            assert!(RepositoryName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_reference_is_a_tag_or_a_sha256_digest() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert!(
            matches!(Reference::parse(&digest), Ok(Reference::Digest(parsed)) if parsed.to_string() == digest)
        );
        for good in ["1", "v1.0", "_x", "sha256-00.sig", "A", &"t".repeat(128)] {
            assert!(matches!(Reference::parse(good), Ok(Reference::Tag(_))), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "a/b",
            "a\\b",
            &"t".repeat(129),
            "sha256:",
            "sha256:00",
            "md5:00",
            &format!("sha256:{}", "0A".repeat(32)),
            &format!("sha512:{}", "0a".repeat(64)),
            "sha256:../../etc",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }
}
