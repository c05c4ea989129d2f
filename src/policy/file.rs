//! The policy file: YAML, version 1.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use super::RulePolicy;
use super::rule::{Rule, RuleText};
use crate::domain::Digest;
use crate::input;

/// A policy file can not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the policy file {path}: {reason}")]
pub struct PolicyError {
    pub path: String,
    pub reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    version: u32,
    rules: Vec<RuleText>,
}

pub fn load(path: &Path) -> Result<RulePolicy, PolicyError> {
    let problem = |reason: String| PolicyError { path: path.display().to_string(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    parse(&text).map_err(problem)
}

pub fn parse(text: &str) -> Result<RulePolicy, String> {
    let policy: PolicyText = input::from_yaml(text).map_err(|error| error.to_string())?;
    if policy.version != 1 {
        return Err(format!("`version` is {}; this Signet reads version 1", policy.version));
    }
    let rules = policy.rules.into_iter().map(Rule::new).collect::<Result<Vec<_>, _>>()?;
    let mut ids = HashSet::new();
    if let Some(rule) = rules.iter().find(|rule| !ids.insert(&rule.id)) {
        return Err(format!("rule `{}` occurs twice; the log names rules by their ids", rule.id));
    }
    Ok(RulePolicy { rules, digest: Digest::of(text.as_bytes()) })
}
