//! Where in a YAML document something stands.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::Segment;

/// The shape of a document, with the place of every key and value.
pub(super) enum Shape {
    Leaf,
    Sequence(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

/// Line and column, counted from 1, of what stands at the end of `path`; or of the last step of it that exists.
pub(super) fn find<'a>(
    root: &Spanned<Shape>,
    path: impl Iterator<Item = &'a Segment>,
) -> Option<(usize, usize)> {
    let (mut node, mut place) = (root, root.referenced);
    for segment in path {
        let next = match (&node.value, segment) {
            (Shape::Sequence(items), Segment::Index(index)) => {
                items.get(*index).map(|item| (item, item.referenced))
            }
            (Shape::Map(entries), Segment::Key(key)) => {
                let found = entries.iter().find(|(name, _)| name.value == *key);
                found.map(|(name, value)| (value, better(value.referenced, name.referenced)))
            }
            _ => None,
        };
        let Some((found, at)) = next else { break };
        (node, place) = (found, at);
    }
    number(place)
}

/// Where a value is not there, as in `key:`, its key is.
fn better(value: Location, key: Location) -> Location {
    if number(value).is_some() { value } else { key }
}

fn number(place: Location) -> Option<(usize, usize)> {
    let (line, column) = (usize::try_from(place.line()).ok()?, usize::try_from(place.column()).ok()?);
    (line > 0).then_some((line, column))
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(shape) = items.next_element()? {
            shapes.push(shape);
        }
        Ok(Shape::Sequence(shapes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            shapes.push(entry);
        }
        Ok(Shape::Map(shapes))
    }
}
