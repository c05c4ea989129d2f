//! From the formats to trees.

use serde::de::{Deserialize as _, DeserializeSeed as _, Deserializer as _};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error as YamlError, MessageFormatter as _, Spanned, UserMessageFormatter};

use super::node::{Around, Tree};
use super::place::Shape;
use super::{InputError, Node};

/// Levels of lists and maps within each other in YAML, whose reader takes much stack for each. JSON has its
/// reader's own limit, 128.
pub(super) const MAX_YAML_DEPTH: usize = 32;

/// Bytes of a YAML document.
const MAX_YAML: usize = 4 * 1024 * 1024;

pub(super) fn json(bytes: &[u8]) -> Result<Node, InputError> {
    let tree = Tree::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let node = (&tree).deserialize(&mut reader).and_then(|node| reader.end().map(|()| node));
    node.map_err(|error| json_error(&error, tree))
}

/// The tree, with `null` in the place of what stands under `key` at the top; and that, as it was written.
pub(super) fn json_around<'a>(
    bytes: &'a [u8],
    key: &'static str,
) -> Result<(Node, Option<&'a [u8]>), InputError> {
    // What is no object has no keys.
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return json(bytes).map(|node| (node, None));
    }
    let tree = Tree::default();
    let mut around = Around { tree: &tree, key, raw: None };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let node = reader.deserialize_map(&mut around).and_then(|node| reader.end().map(|()| node));
    let raw = around.raw;
    node.map(|node| (node, raw.map(|raw| raw.get().as_bytes()))).map_err(|error| json_error(&error, tree))
}

fn json_error(error: &serde_json::Error, tree: Tree) -> InputError {
    let place = (error.line(), error.column());
    tree.into_duplicate().unwrap_or_else(|| InputError::syntax("JSON", json_sentence(error))).at(place)
}

/// The error's text without the place, which it ends with.
fn json_sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

pub(super) fn yaml(text: &str) -> Result<Node, InputError> {
    if text.len() > MAX_YAML {
        return Err(InputError::syntax("YAML", format!("it has more than {MAX_YAML} bytes")));
    }
    let tree = Tree::default();
    serde_saphyr::with_deserializer_from_str_with_options(text, yaml_options(), |reader| {
        (&tree).deserialize(reader)
    })
    .map_err(|error| {
        let place = error.location();
        let found =
            tree.into_duplicate().unwrap_or_else(|| InputError::syntax("YAML", yaml_sentence(&error)));
        match place {
            Some(place) => found.at((number(place.line()), number(place.column()))),
            None => found,
        }
    })
}

/// The place of everything in YAML that was read before; reading it again costs less than keeping what only errors need.
pub(super) fn yaml_places(text: &str) -> Option<Spanned<Shape>> {
    serde_saphyr::with_deserializer_from_str_with_options(text, yaml_options(), |reader| {
        Spanned::deserialize(reader)
    })
    .ok()
}

fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_YAML_DEPTH,
            flow_nesting_limit: MAX_YAML_DEPTH,
            max_documents: 1,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_nodes: 500_000,
            max_events: 2_000_000,
            max_total_scalar_bytes: 2 * MAX_YAML,
        },
        // A few lines of aliases can stand for more values than any memory holds.
        alias_limits: alias_limits(),
        // Found by the tree, which knows the path.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        // `no` and `on` are strings, as in YAML 1.2.
        strict_booleans: true,
        reject_unsupported_tags: true,
        // A snippet could show a secret.
        with_snippet: false,
    }
}

fn yaml_sentence(error: &YamlError) -> String {
    UserMessageFormatter.format_message(error.without_snippet()).into_owned()
}

fn alias_limits() -> serde_saphyr::options::AliasLimits {
    let mut limits = serde_saphyr::options::AliasLimits::default();
    limits.max_total_replayed_events = 10_000;
    limits.max_replay_stack_depth = 16;
    limits
}

fn number(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
