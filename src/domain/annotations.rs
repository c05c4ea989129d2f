//! What a caller wants to have signed beside the digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Annotations that are part of the signed payload: sorted, at most [`Annotations::MAX_COUNT`], keys of 1 to
/// [`Annotations::MAX_KEY`] bytes, all together at most [`Annotations::MAX_BYTES`], no control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Annotations(BTreeMap<String, String>);

/// Why annotations are refused. The sentences are meant for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationsError {
    #[error("there are {0} annotations, at most {max} are signed", max = Annotations::MAX_COUNT)]
    TooMany(usize),
    #[error("an annotation's key has 1 to {max} bytes", max = Annotations::MAX_KEY)]
    Key,
    #[error("annotations have at most {max} bytes together, these have {0}; sign the digest of a file that holds the rest", max = Annotations::MAX_BYTES)]
    TooLarge(usize),
    #[error("annotations have no control characters (U+0000 to U+001F, U+007F to U+009F)")]
    ControlCharacter,
}

impl Annotations {
    pub const MAX_COUNT: usize = 64;
    pub const MAX_KEY: usize = 128;
    pub const MAX_BYTES: usize = 16 * 1024;

    /// # Errors
    /// Each limit of the type has its own.
    pub fn new(entries: BTreeMap<String, String>) -> Result<Self, AnnotationsError> {
        let bytes = entries.iter().map(|(k, v)| k.len() + v.len()).sum();
        if bytes > Self::MAX_BYTES {
            return Err(AnnotationsError::TooLarge(bytes));
        }
        if entries.len() > Self::MAX_COUNT {
            return Err(AnnotationsError::TooMany(entries.len()));
        }
        for (key, value) in &entries {
            if !(1..=Self::MAX_KEY).contains(&key.len()) {
                return Err(AnnotationsError::Key);
            }
            if key.chars().chain(value.chars()).any(char::is_control) {
                return Err(AnnotationsError::ControlCharacter);
            }
        }
        Ok(Self(entries))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub const fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, value: &str) -> Result<Annotations, AnnotationsError> {
        Annotations::new(BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn limits_are_inclusive() {
        assert!(of(&"k".repeat(128), &"v".repeat(16 * 1024 - 128)).is_ok());
        assert_eq!(of(&"k".repeat(129), "v"), Err(AnnotationsError::Key));
        assert_eq!(of("", "v"), Err(AnnotationsError::Key));
        assert_eq!(of("k", &"v".repeat(16 * 1024)), Err(AnnotationsError::TooLarge(16 * 1024 + 1)));
    }

    #[test]
    fn control_characters_are_refused_in_keys_and_values() {
        for text in ["\n", "a\0", "\u{7f}", "\u{85}"] {
            assert_eq!(of("k", text), Err(AnnotationsError::ControlCharacter));
            assert_eq!(of(text, "v"), Err(AnnotationsError::ControlCharacter));
        }
    }
}
