//! What the search box is asked: one line that may be a digest, an image, a repository or a pattern, a principal, a key's version, a
//! request, a rule, a signature, or an entry's number.

use super::parts::plain;
use crate::domain::{Digest, ImageReference, KeyName, Pattern, RequestId, SignatureId};
use crate::http::log::filter::FilterParameters;

/// What a line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Everything.
    All,
    Digest(Digest),
    /// One repository with one digest.
    Image(ImageReference),
    Repository(String),
    Principal(String),
    Key {
        name: String,
        version: Option<u32>,
    },
    /// What has this form names a request or a signature: who asks, looks which.
    Identifier {
        request: String,
        signature: Option<SignatureId>,
    },
    Rule(String),
    Entry(u64),
}

/// A line that means nothing, and what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnderstood(pub String);

/// Characters of a line.
pub const MAX: usize = 1024;

impl Meaning {
    /// What `line` means. `keys` are the names of keys that there are: one of them alone is a key.
    ///
    /// # Errors
    /// Where it can not be told, with what to write.
    pub fn of(line: &str, keys: &[KeyName]) -> Result<Self, NotUnderstood> {
        let line = line.trim();
        if line.chars().nth(MAX).is_some() {
            return not_understood(format!(
                "More than {MAX} characters are nothing that the log could know."
            ));
        }
        if line.is_empty() {
            return Ok(Self::All);
        }
        if let Some((word, rest)) = line.split_once(':')
            && let Some(meaning) = Self::named(word, rest.trim())
        {
            return meaning;
        }
        if let Some((_, digest)) = line.rsplit_once('@') {
            return match line.parse::<ImageReference>() {
                Ok(image) => Ok(Self::Image(image)),
                Err(_) if digest.parse::<Digest>().is_ok() => not_understood(
                    "Before the `@` there has to be a repository with its host, as in `registry.example.com/team/app@sha256:…`.",
                ),
                Err(_) => not_understood(
                    "Behind the `@` there has to be a whole digest: `sha256:` and 64 hexadecimal digits.",
                ),
            };
        }
        if let Some(digest) = digest(line) {
            return Ok(Self::Digest(digest));
        }
        if line.starts_with("sha256:") {
            return not_understood(
                "A digest is `sha256:` and 64 lower-case hexadecimal digits: the whole of it.",
            );
        }
        if let Ok(index) = line.parse() {
            return Ok(Self::Entry(index));
        }
        if let Some(key) = key(line, keys) {
            return Ok(key);
        }
        if ["token:", "oidc:", "certificate:"].iter().any(|kind| line.starts_with(kind)) || line == "signet" {
            return Ok(Self::Principal(line.to_owned()));
        }
        if line.contains('/') {
            return repository(line);
        }
        match RequestId::from_caller(line) {
            Some(request) => Ok(Self::Identifier {
                request: request.as_str().to_owned(),
                signature: serde_json::from_value(line.into()).ok(),
            }),
            None => not_understood(HINT),
        }
    }

    /// What stands behind a word that says what it is.
    fn named(word: &str, rest: &str) -> Option<Result<Self, NotUnderstood>> {
        Some(match word {
            "digest" => digest(rest).map(Self::Digest).ok_or_else(|| {
                NotUnderstood("A digest is `sha256:` and 64 lower-case hexadecimal digits.".to_owned())
            }),
            "repository" | "repo" => repository(rest),
            "principal" => Ok(Self::Principal(rest.to_owned())),
            "key" => Ok(key(rest, &[]).unwrap_or(Self::Key { name: rest.to_owned(), version: None })),
            "rule" => Ok(Self::Rule(rest.to_owned())),
            "request" => match RequestId::from_caller(rest) {
                Some(id) => Ok(Self::Identifier { request: id.as_str().to_owned(), signature: None }),
                None => not_understood("A request's id has 1 to 128 letters, digits, `.`, `_` and `-`."),
            },
            "entry" => rest
                .parse()
                .map(Self::Entry)
                .map_err(|_| NotUnderstood("An entry is named by its index, a number from 0.".to_owned())),
            _ => return None,
        })
    }

    /// The conditions that it stands for.
    pub fn put_into(&self, filter: &mut FilterParameters) {
        match self {
            Self::All | Self::Entry(_) => {}
            Self::Digest(digest) => filter.digest = Some(digest.to_string()),
            Self::Image(image) => {
                filter.digest = Some(image.digest.to_string());
                filter.repository = Some(image.repository.to_string());
            }
            Self::Repository(pattern) => filter.repository = Some(pattern.clone()),
            Self::Principal(name) => filter.principal = Some(name.clone()),
            Self::Key { name, version } => {
                filter.key = Some(name.clone());
                filter.key_version = *version;
            }
            Self::Identifier { request, .. } => filter.request_id = Some(request.clone()),
            Self::Rule(id) => filter.rule = Some(id.clone()),
        }
    }

    /// In words, behind "looked for as": its sort, and what of it.
    pub fn words(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::All => return None,
            Self::Digest(digest) => ("the digest", digest.to_string()),
            Self::Image(image) => ("the image", image.to_string()),
            Self::Repository(pattern) if pattern.contains('*') => ("repositories that fit", pattern.clone()),
            Self::Repository(name) => ("the repository", name.clone()),
            Self::Principal(name) => ("the principal", name.clone()),
            Self::Key { name, version: Some(version) } => ("the key's version", format!("{name} v{version}")),
            Self::Key { name, version: None } => ("the key", name.clone()),
            Self::Identifier { request, .. } => ("the request", request.clone()),
            Self::Rule(id) => ("the rule", id.clone()),
            Self::Entry(index) => ("the entry", index.to_string()),
        })
    }
}

const HINT: &str = "Write a digest (`sha256:…`), an image (`host/name@sha256:…`), a repository or a pattern of them (`host/team/**`), a principal (`token:ci`), a key's version (`release v3`), a request's id or an entry's number; or say what it is: `rule:payments-release`.";

fn not_understood<T>(text: impl Into<String>) -> Result<T, NotUnderstood> {
    Err(NotUnderstood(plain(&text.into())))
}

/// A digest, with or without its algorithm.
fn digest(text: &str) -> Option<Digest> {
    let is_bare = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let whole = if is_bare { format!("sha256:{}", text.to_ascii_lowercase()) } else { text.to_owned() };
    whole.parse().ok()
}

fn repository(text: &str) -> Result<Meaning, NotUnderstood> {
    if let Some((name, tag)) = text.rsplit_once(':')
        && name.contains('/')
        && !tag.contains('/')
    {
        return not_understood(format!(
            "A tag can move, so the log knows images by their digests: write `{name}` for all of the repository, or `{name}@sha256:…`."
        ));
    }
    match Pattern::of_repositories(text) {
        Ok(pattern) => Ok(Meaning::Repository(pattern.as_str().to_owned())),
        Err(reason) => not_understood(format!("As a repository: {reason}.")),
    }
}

/// `release`, where there is such a key, or `release v3`, `release@3`, `release/3`.
fn key(text: &str, keys: &[KeyName]) -> Option<Meaning> {
    let is_one = |name: &str| keys.iter().any(|key| key.as_str() == name);
    if is_one(text) {
        return Some(Meaning::Key { name: text.to_owned(), version: None });
    }
    let (name, version) = text.rsplit_once([' ', '@'])?;
    let name = name.trim().parse::<KeyName>().ok()?;
    let version = version.strip_prefix('v').unwrap_or(version).parse().ok().filter(|version| *version > 0)?;
    Some(Meaning::Key { name: name.to_string(), version: Some(version) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn meant(line: &str) -> String {
        match Meaning::of(line, &["release".parse().unwrap()]) {
            Ok(meaning) => {
                meaning.words().map_or_else(|| "all".to_owned(), |(what, of)| format!("{what} {of}"))
            }
            Err(NotUnderstood(why)) => format!("? {why}"),
        }
    }

    #[test]
    fn one_line_is_understood_for_what_it_is() {
        let digest = format!("sha256:{HEX}");
        for (line, meaning) in [
            ("", "all".to_owned()),
            ("  ", "all".to_owned()),
            (&digest, format!("the digest {digest}")),
            (HEX, format!("the digest {digest}")),
            (&HEX.to_uppercase(), format!("the digest {digest}")),
            (&format!(" r.example.com/a/b@{digest}"), format!("the image r.example.com/a/b@{digest}")),
            ("r.example.com/a/b", "the repository r.example.com/a/b".to_owned()),
            ("r.example.com:5000/a/**", "repositories that fit r.example.com:5000/a/**".to_owned()),
            ("token:ci", "the principal token:ci".to_owned()),
            ("oidc:gitlab:4711", "the principal oidc:gitlab:4711".to_owned()),
            (
                "certificate:spiffe://example.com/ci",
                "the principal certificate:spiffe://example.com/ci".to_owned(),
            ),
            ("signet", "the principal signet".to_owned()),
            ("release", "the key release".to_owned()),
            ("release v3", "the key's version release v3".to_owned()),
            ("other 3", "the key's version other v3".to_owned()),
            ("key:other", "the key other".to_owned()),
            ("rule:payments-release", "the rule payments-release".to_owned()),
            (
                "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
                "the request 017f22e2-79b0-7cc3-98c4-dc0c0c07398f".to_owned(),
            ),
            ("request:17", "the request 17".to_owned()),
            ("17", "the entry 17".to_owned()),
            ("entry:17", "the entry 17".to_owned()),
        ] {
            assert_eq!(meant(line), meaning, "{line:?}");
        }
    }

    #[test]
    fn a_line_that_can_not_be_meant_gets_what_to_write() {
        for (line, says) in [
            ("r.example.com/a/b:v1", "A tag can move"),
            ("r.example.com/a/b@sha256:12", "whole digest"),
            (&format!("team@sha256:{HEX}") as &str, "repository with its host"),
            ("sha256:12", "64 lower-case"),
            ("<script>alert(1)</script>", "As a repository"),
            ("' OR 1=1 --", "Write a digest"),
            ("a b c", "Write a digest"),
            ("entry:x", "a number from 0"),
            ("digest:x", "64 lower-case"),
            (&"a".repeat(MAX + 1), "More than 1024"),
        ] {
            assert!(meant(line).starts_with("? ") && meant(line).contains(says), "{line:?}: {}", meant(line));
        }
    }

    #[test]
    fn what_looks_like_a_signature_may_be_one() {
        let id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        let Ok(Meaning::Identifier { signature, .. }) = Meaning::of(id, &[]) else { panic!("no identifier") };
        assert_eq!(signature.map(|signature| signature.to_string()).as_deref(), Some(id));
    }
}
