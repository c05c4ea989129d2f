//! The predicates of attestations: their types, and whether one has the shape of its type.
//!
//! `cosign verify-attestation --type X` gives up at the first attestation of type X that it can not read, also where
//! others would do. So nothing is signed that it could not read.

mod shape;
mod types;

use std::fmt;
use std::str::FromStr;

use url::Url;

use self::types::Known;
use super::statement::SIGNATURE_PREDICATE;

pub use self::shape::{Fault, PredicateError};

/// Bytes of a predicate.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How deep lists and objects of a predicate may be nested.
pub const MAX_DEPTH: usize = 100;

/// Bytes of a type's URI.
const MAX_URI: usize = 1024;

/// What kind of thing a predicate is: a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredicateType(String);

/// Why a text is no [`PredicateType`]. The sentences are meant for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredicateTypeError {
    #[error(
        "a predicate type is one of {names}, or a URI as in `https://example.com/type/v1`: 1 to {MAX_URI} visible ASCII characters",
        names = types::names()
    )]
    NotAUri,
    #[error(
        "this predicate type says that an image is signed; ask for a signature instead: `POST /v1/signatures`"
    )]
    Signature,
}

impl PredicateType {
    /// The URI, as it stands in the statement. Verifiers compare it byte for byte.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `predicate` is a JSON object that verifiers of this type can read. Reads it once, and builds nothing of
    /// its size but for the names of one object at a time and those around it.
    ///
    /// Also refused is what not every verifier reads: the same name twice in one object, numbers beyond the range of
    /// a double, half of a surrogate pair.
    ///
    /// # Errors
    /// The first fault, and where it is.
    pub fn check(&self, predicate: &[u8]) -> Result<(), PredicateError> {
        shape::check(predicate, types::shape(&self.0))
    }
}

impl FromStr for PredicateType {
    type Err = PredicateTypeError;

    /// Reads one of cosign's short names, or a URI.
    fn from_str(text: &str) -> Result<Self, PredicateTypeError> {
        if let Some(known) = Known::named(text) {
            return Ok(Self(known.uri().to_owned()));
        }
        match text {
            SIGNATURE_PREDICATE => Err(PredicateTypeError::Signature),
            text if is_uri(text) => Ok(Self(text.to_owned())),
            _ => Err(PredicateTypeError::NotAUri),
        }
    }
}

impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is a URI that cosign takes, too: it leaves nothing to be escaped.
fn is_uri(text: &str) -> bool {
    let visible = |b: u8| b.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&b);
    let escapes = text
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()));
    text.len() <= MAX_URI && text.bytes().all(visible) && escapes && Url::parse(text).is_ok()
}

#[cfg(test)]
mod tests;
