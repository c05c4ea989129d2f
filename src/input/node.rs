//! A tree of values, whatever format it was written in.

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{InputError, Segment};

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    String(String),
    /// Written where everything is text, as in environment variables: it is a boolean or a number where one is
    /// expected, and else a string.
    Text(String),
    Sequence(Vec<Node>),
    /// In the order of writing, no key twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value under `key`, in a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find_map(|(name, node)| (name == key).then_some(node)),
            _ => None,
        }
    }

    /// What it is, for a sentence. Long texts are cut.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Signed(number) => format!("the number {number}"),
            Self::Unsigned(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::String(text) => format!("the string {}", super::error::quoted(text)),
            Self::Text(text) => super::error::quoted(text),
            Self::Sequence(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    /// # Errors
    /// Also where a map has a key twice.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tree::default().deserialize(deserializer)
    }
}

/// Reads a tree of any format. A format's own errors carry no paths, so the one problem that is found here, a
/// key that occurs twice, is also kept aside.
#[derive(Default)]
pub(super) struct Tree {
    twice: RefCell<Option<InputError>>,
}

impl Tree {
    /// The duplicate key that reading ended at.
    pub(super) fn into_duplicate(self) -> Option<InputError> {
        self.twice.into_inner()
    }
}

impl<'de> DeserializeSeed<'de> for &Tree {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        (&self).deserialize(deserializer)
    }
}

impl<'de> Visitor<'de> for &Tree {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Signed(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        loop {
            match items.next_element_seed(self) {
                Ok(Some(node)) => nodes.push(node),
                Ok(None) => return Ok(Node::Sequence(nodes)),
                Err(error) => {
                    self.within(Segment::Index(nodes.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Node, A::Error> {
        self.map(entries, |_, entries| entries.next_value_seed(self))
    }
}

/// Reads a tree of JSON at whose top one value is left as it was written.
pub(super) struct Around<'t, 'de> {
    pub(super) tree: &'t Tree,
    pub(super) key: &'static str,
    pub(super) raw: Option<&'de RawValue>,
}

impl<'de> Visitor<'de> for &mut Around<'_, 'de> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Node, A::Error> {
        self.tree.map(entries, |key, entries| {
            if key != self.key {
                return entries.next_value_seed(self.tree);
            }
            self.raw = Some(entries.next_value()?);
            Ok(Node::Null)
        })
    }
}

impl Tree {
    /// A map whose values are read by `value`, which is given their keys.
    fn map<'de, A: MapAccess<'de>>(
        &self,
        mut entries: A,
        mut value: impl FnMut(&str, &mut A) -> Result<Node, A::Error>,
    ) -> Result<Node, A::Error> {
        let mut nodes: Vec<(String, Node)> = Vec::new();
        // Maps are small where people write them. Where they are not, comparing each key with all the others
        // would cost more than the rest of the reading.
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                let error = InputError::duplicate(&key);
                let text = A::Error::custom(&error);
                *self.twice.borrow_mut() = Some(error);
                return Err(text);
            }
            let node = value(&key, &mut entries).inspect_err(|_| self.within(Segment::Key(key.clone())))?;
            nodes.push((key, node));
        }
        Ok(Node::Map(nodes))
    }

    /// The problem, where there is one, lies within `segment`.
    fn within(&self, segment: Segment) {
        let found = self.twice.take();
        *self.twice.borrow_mut() = found.map(|error| error.within(segment));
    }
}
