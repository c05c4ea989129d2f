//! Reading the policy file: YAML, version 1.

use std::collections::HashSet;
use std::path::Path;

use super::RulePolicy;
use super::rule::Rule;
use super::text::PolicyText;
use crate::domain::Digest;
use crate::input::{self, Segment};

/// A policy file can not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the policy file {path}: {reason}")]
pub struct PolicyError {
    pub path: String,
    /// What is wrong, where, and what would be right; with line and column where it is about what stands in the file.
    pub reason: String,
}

pub fn load(path: &Path) -> Result<RulePolicy, PolicyError> {
    let problem = |reason: String| PolicyError { path: path.display().to_string(), reason };
    let bytes = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
    parse(&bytes).map_err(problem)
}

pub fn parse(bytes: &[u8]) -> Result<RulePolicy, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        format!("this is no UTF-8 text (line {line})")
    })?;
    let policy: PolicyText = input::from_yaml(text).map_err(|error| error.to_string())?;
    let at = |path: &[Segment], reason: String| match input::yaml_place(text, path) {
        Some((line, column)) => format!("{reason} (line {line}, column {column})"),
        None => reason,
    };
    let key = |key: &str| Segment::Key(key.to_owned());
    if policy.version != 1 {
        let reason = format!("`version` is {}; this Signet reads version 1", policy.version);
        return Err(at(&[key("version")], reason));
    }
    let (mut rules, mut ids) = (Vec::with_capacity(policy.rules.len()), HashSet::new());
    for (index, text) in policy.rules.into_iter().enumerate() {
        let (id, place) = (text.id.clone(), [key("rules"), Segment::Index(index)]);
        let wrong = |(path, reason): (Vec<Segment>, String)| {
            let named = named(&path);
            let path: Vec<_> = place.iter().cloned().chain(path).collect();
            let name = if id.is_empty() {
                format!("rules[{index}]")
            } else {
                format!("rule `{}`", super::shown(&id))
            };
            at(&path, format!("{name}: {named}{reason}"))
        };
        if id.chars().count() > MAX_ID || id.chars().any(char::is_control) {
            let reason = format!(
                "has at most {MAX_ID} characters, and no control characters, as it stands in the log"
            );
            return Err(wrong((vec![key("id")], reason)));
        }
        if !ids.insert(id.clone()) {
            return Err(wrong((
                vec![key("id")],
                "occurs twice; the log names rules by their ids".to_owned(),
            )));
        }
        rules.push(Rule::new(text).map_err(wrong)?);
    }
    Ok(RulePolicy::new(rules, Digest::of(bytes)))
}

/// Characters of a rule's id.
const MAX_ID: usize = 128;

/// `` `identity.claims.x` `` before what is wrong with it.
fn named(path: &[Segment]) -> String {
    let names = path.iter().filter_map(|segment| match segment {
        Segment::Key(key) => Some(super::shown(key)),
        Segment::Index(_) => None,
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { String::new() } else { format!("`{}` ", names.join(".")) }
}
