//! Holding JSON against a shape, in one pass.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::MAX_DEPTH;

/// What some JSON has to be. Everywhere but at the top and where a field is needed, `null` is nothing, as in Go.
#[derive(Debug)]
pub(super) enum Shape {
    Any,
    Text,
    /// Just this text.
    Is(&'static str),
    /// Text that begins with this.
    TextFrom(&'static str),
    /// RFC 3339, no more: Go reads no other.
    Time,
    Bool,
    List(&'static Self),
    /// An object whose names are data, with values of one shape.
    Map(&'static Self),
    /// These fields have a shape, others may be anything. All fields of one of the groups are needed.
    Object(&'static [Field], &'static [&'static [&'static str]]),
}

/// A field's name and shape.
#[derive(Debug)]
pub(super) struct Field(pub(super) &'static str, pub(super) &'static Shape);

/// Why a predicate is not signed. The sentences are meant for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {fault}")]
pub struct PredicateError {
    /// Where in the request: `predicate.materials[3].uri`.
    pub path: String,
    pub fault: Fault,
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("must be {0}; verifiers of this type could not read it otherwise")]
    Shape(String),
    #[error("lacks {0}, without which it is not of this type")]
    Missing(String),
    #[error("stands there twice, and verifiers would read either; leave one out")]
    Twice,
    #[error(
        "is nested deeper than {MAX_DEPTH} levels; flatten it, or sign the digest of a file that holds it"
    )]
    TooDeep,
    #[error("can not be read: {0}")]
    Unreadable(String),
}

/// Holds `json` against `shape`.
pub(super) fn check(json: &[u8], shape: &Shape) -> Result<(), PredicateError> {
    let mut walk = Walk::default();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let result = Place { shape, needed: true, walk: &mut walk }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    result.map_err(|error| PredicateError {
        fault: walk.fault.take().unwrap_or_else(|| Fault::Unreadable(without_position(&error))),
        path: walk.path(),
    })
}

/// What is known on the way.
#[derive(Default)]
struct Walk {
    depth: usize,
    fault: Option<Fault>,
    /// Where the fault is, innermost first. Noted on the way out, so that what is well costs nothing.
    trail: Vec<Step>,
}

enum Step {
    Name(String),
    Index(usize),
}

impl Walk {
    fn fail<E: de::Error>(&mut self, fault: Fault) -> E {
        self.fault.get_or_insert(fault);
        E::custom("refused")
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.fail(Fault::TooDeep)) } else { Ok(()) }
    }

    /// As in `predicate.materials[3].uri`; of a deep path only its ends.
    fn path(&self) -> String {
        const ENDS: usize = 8;
        let mut path = "predicate".to_owned();
        for (n, step) in self.trail.iter().rev().enumerate() {
            if n >= ENDS && n + ENDS < self.trail.len() {
                if n == ENDS {
                    path.push('…');
                }
                continue;
            }
            match step {
                Step::Name(name) => path.extend(['.'].into_iter().chain(shortened(name))),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

/// A name for people, who may have sent anything.
fn shortened(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().take(64).flat_map(char::escape_debug)
}

/// One value, about to be read.
struct Place<'w> {
    shape: &'w Shape,
    /// `null` will not do.
    needed: bool,
    walk: &'w mut Walk,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        match self.shape {
            Shape::Any | Shape::Bool => Ok(()),
            _ => Err(self.misfit()),
        }
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.number()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.number()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.number()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        if self.needed { Err(self.misfit()) } else { Ok(()) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let fits = match self.shape {
            Shape::Any | Shape::Text => true,
            Shape::Is(expected) => text == *expected,
            Shape::TextFrom(prefix) => text.starts_with(prefix),
            Shape::Time => is_time(text),
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.misfit()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let shape = match self.shape {
            Shape::Any => &Shape::Any,
            Shape::List(shape) => shape,
            _ => return Err(self.misfit()),
        };
        self.walk.enter()?;
        for index in 0.. {
            match list.next_element_seed(Place { shape, needed: false, walk: self.walk }) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) => {
                    self.walk.trail.push(Step::Index(index));
                    return Err(error);
                }
            }
        }
        self.walk.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        if !matches!(self.shape, Shape::Any | Shape::Map(_) | Shape::Object(..)) {
            return Err(self.misfit());
        }
        self.walk.enter()?;
        let mut names = HashSet::new();
        while let Some(Name(name)) = object.next_key()? {
            let (shape, needed) = self.shape.of_field(&name);
            let result = match names.insert(name.clone()) {
                true => object.next_value_seed(Place { shape, needed, walk: self.walk }),
                false => Err(self.walk.fail(Fault::Twice)),
            };
            if let Err(error) = result {
                self.walk.trail.push(Step::Name(name.into_owned()));
                return Err(error);
            }
        }
        self.walk.depth -= 1;
        match self.shape.lacks(|name| names.contains(name)) {
            Some(fault) => Err(self.walk.fail(fault)),
            None => Ok(()),
        }
    }
}

impl Place<'_> {
    fn number<E: de::Error>(self) -> Result<(), E> {
        match self.shape {
            Shape::Any => Ok(()),
            _ => Err(self.misfit()),
        }
    }

    fn misfit<E: de::Error>(self) -> E {
        let expected = self.shape.to_string();
        self.walk.fail(Fault::Shape(expected))
    }
}

impl Shape {
    /// The shape of the field `name` of an object of this shape, and whether it may not be `null`.
    fn of_field(&self, name: &str) -> (&Self, bool) {
        match self {
            Self::Map(shape) => (shape, false),
            Self::Object(fields, groups) => {
                let exact = fields.iter().find(|field| field.0 == name);
                // Go takes a name for the field's whatever its case is, and then wants the field's type.
                match exact.or_else(|| fields.iter().find(|field| folded(field.0).eq(folded(name)))) {
                    Some(field) => {
                        (field.1, exact.is_some() && groups.iter().any(|group| group.contains(&name)))
                    }
                    None => (&Self::Any, false),
                }
            }
            _ => (&Self::Any, false),
        }
    }

    /// What an object needs and does not have.
    fn lacks(&self, has: impl Fn(&str) -> bool) -> Option<Fault> {
        let Self::Object(_, groups) = self else { return None };
        if groups.is_empty() || groups.iter().any(|group| group.iter().all(|name| has(name))) {
            return None;
        }
        let missing = |group: &&[&str]| {
            let names = group.iter().filter(|name| !has(name)).map(|name| format!("`{name}`"));
            names.collect::<Vec<_>>().join(" and ")
        };
        Some(Fault::Missing(groups.iter().map(missing).collect::<Vec<_>>().join(", or ")))
    }
}

/// What stands behind "must be".
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("something, and not `null`"),
            Self::Text => f.write_str("a text"),
            Self::Is(text) => write!(f, "`{text}`"),
            Self::TextFrom(text) => write!(f, "a text that begins with `{text}`"),
            Self::Time => f.write_str("a time as in `2026-01-02T03:04:05Z` (RFC 3339)"),
            Self::Bool => f.write_str("true or false"),
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) | Self::Object(..) => f.write_str("a JSON object"),
        }
    }
}

/// `name` as Go's `encoding/json` compares names: by Unicode's simple case folding.
fn folded(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Whether Go's `time.Time` reads `text`: jiff reads all of RFC 3339, and more.
fn is_time(text: &str) -> bool {
    let two = |at: usize| text.get(at..at + 2).and_then(|digits| digits.parse::<u8>().ok());
    let form = text.bytes().enumerate().take(20).all(|(at, b)| match at {
        4 | 7 => b == b'-',
        10 => b == b'T',
        13 | 16 => b == b':',
        19 => b".Z+-".contains(&b),
        _ => b.is_ascii_digit(),
    });
    let offset = text
        .get(19..)
        .unwrap_or_default()
        .trim_start_matches('.')
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let zone = match offset.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', a, b, b':', c, d] => [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()),
        _ => false,
    };
    // Go knows no leap seconds.
    form && zone && two(17).is_some_and(|seconds| seconds < 60) && text.parse::<Timestamp>().is_ok()
}

/// A name in an object, without a copy where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// serde_json's own words; where it stopped reading means nothing to whoever sent the predicate inside something else.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.as_str(), |(words, _)| words).to_owned()
}
