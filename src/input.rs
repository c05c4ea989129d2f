//! Reading what people write: requests in JSON, policies in YAML, the configuration in TOML.
//!
//! All of it becomes a [`Node`] first and a type then. The one reader of nodes knows where it is, what was
//! expected there and what stands there instead, so that an [`InputError`] can say all three, for every format
//! in the same words.

mod deserializer;
mod error;
mod format;
mod node;
mod place;
#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;

pub use error::{InputError, Problem, Segment};
pub(crate) use error::{cut as shown, nearest};
pub use node::Node;

/// Reads JSON (RFC 8259). Duplicate keys are refused: of two readers, one may take the first and one the last.
///
/// # Errors
/// Where it is no JSON, with line and column; where it is no `T`, with the path.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, InputError> {
    from_node(format::json(bytes)?)
}

/// Reads a JSON object in which what stands under `key` may be large. That is neither parsed nor copied, but returned as
/// it was written: some JSON, of any depth, in UTF-8. `T` reads it as `()`.
///
/// # Errors
/// As [`from_json`].
pub fn from_json_around<'a, T: DeserializeOwned>(
    bytes: &'a [u8],
    key: &'static str,
) -> Result<(T, Option<&'a [u8]>), InputError> {
    let (node, raw) = format::json_around(bytes, key)?;
    Ok((from_node(node)?, raw))
}

/// Reads YAML 1.2, one document, without duplicate keys, and without tags of programming languages. Aliases are
/// replayed within limits; `<<` is a key like any other.
///
/// # Errors
/// Where it is no YAML or no `T`, with the path, line and column.
pub fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, InputError> {
    from_node(format::yaml(text)?).map_err(|error| {
        let path: Vec<_> = error.segments().cloned().collect();
        match yaml_place(text, &path) {
            Some(place) => error.at(place),
            None => error,
        }
    })
}

/// Line and column, counted from 1, of what stands at `path` in YAML that can be read; or of the last step of the path
/// that exists.
pub fn yaml_place(text: &str, path: &[Segment]) -> Option<(usize, usize)> {
    place::find(&format::yaml_places(text)?, path.iter())
}

/// Reads a tree that was read before.
///
/// # Errors
/// Where it is no `T`, with the path.
pub fn from_node<T: DeserializeOwned>(node: Node) -> Result<T, InputError> {
    T::deserialize(deserializer::Reader::of(&node)).map_err(|error| error.met(&node))
}
