//! One rule: to whom it speaks, and of what.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::domain::{Format, KeyName, Operation, Principal};
use crate::ports::Question;

/// A rule, checked and ready to match.
#[derive(Debug, Clone)]
pub struct Rule {
    pub id: String,
    pub effect: Effect,
    pub token: String,
    repositories: GlobSet,
    pub keys: Vec<KeyName>,
    operations: Vec<Operation>,
    formats: Vec<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Deny,
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleText {
    id: String,
    effect: Effect,
    identity: IdentityText,
    /// `*` stops at `/`, `**` crosses it.
    #[serde(default)]
    repositories: Vec<String>,
    #[serde(default)]
    keys: Vec<KeyName>,
    #[serde(default = "only_sign")]
    operations: Vec<Operation>,
    #[serde(default = "all_formats")]
    formats: Vec<Format>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityText {
    /// The name of one of `[[identity.tokens]]`.
    token: String,
}

impl Rule {
    /// # Errors
    /// A sentence that names the rule and the key.
    pub fn new(text: RuleText) -> Result<Self, String> {
        let id = text.id;
        for operation in &text.operations {
            let (repository, key) = concerns(*operation);
            let needed = [
                ("repositories", repository && text.repositories.is_empty()),
                ("keys", key && text.keys.is_empty()),
            ];
            if let Some((name, _)) = needed.iter().find(|(_, missing)| *missing) {
                return Err(format!(
                    "rule `{id}`: `{name}` is empty, so that the rule could never match `{operation}`; name at least one"
                ));
            }
        }
        let repositories =
            globs(&text.repositories).map_err(|error| format!("rule `{id}`: `repositories`: {error}"))?;
        Ok(Self {
            id,
            effect: text.effect,
            token: text.identity.token,
            repositories,
            keys: text.keys,
            operations: text.operations,
            formats: text.formats,
        })
    }

    /// Whether the rule speaks of `operation` in bundles.
    pub fn allows_bundles_of(&self, operation: Operation) -> bool {
        self.operations.contains(&operation) && self.formats.contains(&Format::Bundle)
    }

    /// Whether the rule speaks of what is asked. What the question leaves open, the rule may choose.
    pub fn matches(&self, question: &Question<'_>) -> bool {
        matches!(question.principal, Principal::Token { name } if *name == self.token)
            && self.operations.contains(&question.operation)
            && question.key.is_none_or(|key| self.keys.contains(key))
            && question.format.is_none_or(|format| self.formats.contains(&format))
            && question.repository.is_none_or(|repository| self.repositories.is_match(repository.to_string()))
    }
}

/// Whether every question about `operation` names a repository, and whether it names a key.
const fn concerns(operation: Operation) -> (bool, bool) {
    match operation {
        Operation::Sign | Operation::Attest | Operation::Verify => (true, true),
        Operation::Blob => (false, true),
        Operation::LogRead | Operation::PolicyExplain => (false, false),
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
    }
    set.build()
}

fn only_sign() -> Vec<Operation> {
    vec![Operation::Sign]
}

fn all_formats() -> Vec<Format> {
    Format::ALL.to_vec()
}
