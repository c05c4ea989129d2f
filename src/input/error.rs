//! What is wrong, where, and what would be right.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::Node;

/// What people wrote is not what was expected. Its text is a sentence for them, without the full stop:
/// `keys[0].hsah: unknown key; did you mean "hash"? …`.
///
/// Values are shown in part and without control characters, and not at all under keys whose name speaks of a
/// token, a password or a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct InputError(Box<Parts>);

#[derive(Debug, Clone, PartialEq)]
struct Parts {
    /// From the innermost segment outwards.
    path: Vec<Segment>,
    problem: Problem,
    /// What stands there.
    got: Option<String>,
    /// Line and column, counted from 1.
    place: Option<(usize, usize)>,
}

/// One step into a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Key(String),
    Index(usize),
}

/// What is wrong with the value at the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The whole is not of the format.
    Syntax { format: &'static str, message: String },
    /// The path's last key is not known here.
    Unknown { known: &'static [&'static str] },
    /// The path's last key has to be here and is not.
    Missing,
    /// The path's last key is here twice.
    Duplicate,
    /// The value must be something else.
    Expected(String),
    /// The value must be one of these.
    Choice { known: &'static [&'static str], got: String },
    /// The value's own type says why not.
    Refused { reason: String, expected: Option<String> },
}

impl InputError {
    /// Where: `keys[1].name`; empty for the whole.
    pub fn path(&self) -> String {
        let mut text = String::new();
        for segment in self.segments() {
            match segment {
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
                Segment::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
                    let short = (1..=SHOWN).contains(&key.len());
                    text.push_str(&if plain && short { key.clone() } else { quoted(key) });
                }
            }
        }
        text
    }

    /// The way to the problem, from the outside.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.0.path.iter().rev()
    }

    pub const fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// What is wrong, without the path.
    pub fn message(&self) -> String {
        let text = match &self.0.problem {
            Problem::Syntax { format, message } => {
                format!("this is no {format}: {}", cut(message, SHOWN * 3))
            }
            Problem::Unknown { known } => unknown(self.last_key().unwrap_or_default(), known),
            Problem::Missing => "missing".to_owned(),
            Problem::Duplicate => "this key is here twice".to_owned(),
            Problem::Expected(what) => format!("must be {what}{}", self.got()),
            Problem::Choice { known, got } => self.choice(known, got),
            Problem::Refused { reason, expected } => self.refused(reason, expected.as_deref()),
        };
        match self.0.place {
            Some((line, column)) => format!("{text} (line {line}, column {column})"),
            None => text,
        }
    }

    pub(super) fn syntax(format: &'static str, message: String) -> Self {
        Problem::Syntax { format, message }.into()
    }

    pub(super) fn expected(what: impl Into<String>) -> Self {
        Problem::Expected(what.into()).into()
    }

    pub(super) fn duplicate(key: &str) -> Self {
        Self::from(Problem::Duplicate).within(Segment::Key(key.to_owned()))
    }

    /// The same, seen from one step further out.
    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.0.path.push(segment);
        self
    }

    /// The error came up at the key `key` itself, if it does not name one already.
    pub(super) fn at_key(self, key: &str) -> Self {
        if self.0.path.is_empty() { self.within(Segment::Key(key.to_owned())) } else { self }
    }

    /// The error came up at `node`: the innermost node that it passes is what stands at its path.
    pub(super) fn met(mut self, node: &Node) -> Self {
        if self.0.path.is_empty() && self.0.got.is_none() {
            self.0.got = Some(node.describe());
        }
        self
    }

    pub(super) fn at(mut self, place: (usize, usize)) -> Self {
        self.0.place = Some(place);
        self
    }

    /// A visitor that expects `what` refused the value, for a reason of its own.
    pub(super) fn while_expecting(mut self, what: impl FnOnce() -> String) -> Self {
        if let Problem::Refused { expected, .. } = &mut self.0.problem {
            expected.get_or_insert_with(what);
        }
        self
    }

    fn got(&self) -> String {
        match &self.0.got {
            Some(got) if !self.is_secret() => format!(", got {got}"),
            _ => String::new(),
        }
    }

    fn choice(&self, known: &[&str], got: &str) -> String {
        let mut text = format!("must be {}", list(known, "or"));
        if !self.is_secret() {
            text.push_str(&format!(", got {}", quoted(got)));
            if let Some(near) = nearest(got, known) {
                text.push_str(&format!("; did you mean {}?", quoted(near)));
            }
        }
        text
    }

    fn refused(&self, reason: &str, expected: Option<&str>) -> String {
        // The reason may hold the value.
        let reason =
            if self.is_secret() { "this value can not be used".to_owned() } else { cut(reason, SHOWN * 3) };
        match expected {
            Some(expected) => format!("must be {expected}{}: {reason}", self.got()),
            None => reason,
        }
    }

    fn is_secret(&self) -> bool {
        self.last_key().is_some_and(|key| {
            let key = key.to_ascii_lowercase();
            ["token", "password", "secret"].iter().any(|word| key.contains(word))
        })
    }

    fn last_key(&self) -> Option<&str> {
        self.0.path.iter().find_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        })
    }
}

impl From<Problem> for InputError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Parts { path: Vec::new(), problem, got: None, place: None }))
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path().as_str(), &self.0.problem) {
            ("", Problem::Syntax { .. }) => write!(f, "{}", self.message()),
            ("", _) => write!(f, "the whole {}", self.message()),
            (path, _) => write!(f, "{path}: {}", self.message()),
        }
    }
}

impl std::error::Error for InputError {}

/// What types say while they are being read. Each keeps what it knows; none of it is told from a text.
impl serde::de::Error for InputError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem::Refused { reason: message.to_string(), expected: None }.into()
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected(expected.to_string())
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::expected(expected.to_string())
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Problem::Choice { known, got: variant.to_owned() }.into()
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::from(Problem::Unknown { known }).within(Segment::Key(field.to_owned()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::from(Problem::Missing).within(Segment::Key(field.to_owned()))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::duplicate(field)
    }
}

/// Characters of a value in a message.
const SHOWN: usize = 80;

/// `text` in quotes, cut, with its control characters escaped.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(text, SHOWN))
}

/// At most `limit` characters of `text`, with its control characters escaped.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(limit) {
        // Also the characters that turn the direction of writing, which could make a message lie.
        if character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

fn unknown(key: &str, known: &[&str]) -> String {
    let near =
        nearest(key, known).map(|near| format!("; did you mean {}?", quoted(near))).unwrap_or_default();
    if known.is_empty() {
        return format!("unknown key{near}; no key is known here");
    }
    let separator = if near.is_empty() { "; " } else { " " };
    format!("unknown key{near}{separator}known keys: {}", known.join(", "))
}

/// The known name that differs in so few letters that a slip of the fingers explains it.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > SHOWN {
        return None;
    }
    let name = name.to_lowercase();
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name, known), *known))
        .filter(|(distance, known)| *distance <= (known.chars().count() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `"a", "b" or "c"`.
fn list(names: &[&str], last: &str) -> String {
    let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    match names.split_last() {
        Some((end, [])) => end.clone(),
        Some((end, others)) => format!("{} {last} {end}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}
