//! `SIGNET__SECTION__KEY`: what the environment sets on top of the file.

use std::collections::BTreeMap;
use std::path::Path;

use super::ConfigError;
use crate::input::{InputError, Problem, Segment, nearest};

/// The variables that set something. One that is empty sets nothing.
#[derive(Debug)]
pub(super) struct Environment {
    /// By the key that each sets, `http.listen`.
    variables: BTreeMap<String, (String, String)>,
}

/// A variable that can set nothing.
#[derive(Debug)]
pub(super) struct WrongVariable {
    variable: String,
    message: String,
}

/// Tables that occur many times; the environment has no names for one of them.
const LISTS: [&str; 4] = ["keys", "registries", "identity.issuers", "identity.tokens"];

const PREFIX: &str = "SIGNET__";

impl Environment {
    /// What [`config::Environment`] calls the origin of its values.
    pub(super) const ORIGIN: &str = "the environment";

    /// The variables of this process.
    ///
    /// # Errors
    /// For a variable of ours that is not text.
    pub(super) fn of_process() -> Result<Vec<(String, String)>, WrongVariable> {
        std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
                Some(match value.into_string() {
                    Ok(value) => Ok((name, value)),
                    Err(_) => Err(WrongVariable { variable: name, message: "this is no UTF-8".to_owned() }),
                })
            })
            .collect()
    }

    /// # Errors
    /// For a variable with our prefix whose name is no key's, or that would set a list or a section.
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, WrongVariable> {
        let mut known = BTreeMap::new();
        for (name, value) in variables {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            let key = key.to_ascii_lowercase().replace("__", ".");
            let wrong = |message: &str| WrongVariable { variable: name.clone(), message: message.to_owned() };
            let is_key =
                |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !key.split('.').all(is_key) {
                return Err(wrong(
                    "a variable is written as SIGNET__SECTION__KEY, with two underscores between",
                ));
            }
            if let Some(list) = LISTS.iter().find(|list| is_within(&key, list)) {
                return Err(wrong(&format!(
                    "lists are written in the file alone: put it there, below a [[{list}]] of its own"
                )));
            }
            if !value.is_empty() && known.insert(key, (name.clone(), value)).is_some() {
                return Err(wrong("this variable is here twice, in letters of different case"));
            }
        }
        Ok(Self { variables: known })
    }

    /// The variables as a source of values.
    pub(super) fn source(&self) -> config::Environment {
        let variables = self.variables.values().cloned().collect();
        config::Environment::with_prefix("SIGNET").separator("__").source(Some(variables))
    }

    /// The variable that sets `key`.
    pub(super) fn variable_of(&self, key: &str) -> Option<String> {
        self.variables.get(key).map(|(name, _)| name.clone())
    }

    /// Where a variable is what the error is about: its name, and what to tell.
    pub(super) fn blame(&self, error: &InputError) -> Option<(String, String)> {
        if *error.problem() == Problem::Missing {
            return None;
        }
        let mut path = Vec::new();
        for segment in error.segments() {
            match segment {
                Segment::Key(key) => path.push(key.as_str()),
                Segment::Index(_) => return None,
            }
        }
        let place = path.join(".");
        let (_, (variable, _)) = self.variables.iter().find(|(key, _)| is_within(key, &place))?;
        let message = match (error.problem(), path.split_last()) {
            (Problem::Unknown { known }, Some((key, section))) => unknown(key, section, known),
            _ => error.message(),
        };
        Some((variable.clone(), message))
    }
}

impl WrongVariable {
    pub(super) fn within(self, file: &Path) -> ConfigError {
        ConfigError::Variable { file: file.to_owned(), variable: self.variable, message: self.message }
    }
}

/// Whether `key` is `place` or lies below it.
fn is_within(key: &str, place: &str) -> bool {
    key.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// In the words of the environment.
fn unknown(key: &str, section: &[&str], known: &[&str]) -> String {
    let variable = |key: &str| {
        let path: Vec<_> =
            section.iter().chain(std::iter::once(&key)).map(|part| part.to_uppercase()).collect();
        format!("{PREFIX}{}", path.join("__"))
    };
    let near = match nearest(key, known) {
        Some(near) => format!("did you mean {}?", variable(near)),
        None => "it would set a key that is not known;".to_owned(),
    };
    format!(
        "unknown variable: {near} known: {}",
        known.iter().map(|key| variable(key)).collect::<Vec<_>>().join(", ")
    )
}
