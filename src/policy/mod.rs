//! Who may sign what: rules of a file, default deny.

mod asked;
mod case;
mod claims;
mod condition;
mod configured;
mod decide;
mod file;
mod identity;
mod index;
mod nearest;
mod platform;
mod reach;
mod reload;
mod rule;
mod shadow;
#[cfg(test)]
mod tests;
mod text;
mod warnings;

use std::collections::BTreeSet;
use std::path::Path;

use crate::domain::{Digest, Missing, Reach};
use crate::input;
use crate::ports::{Decision, Explanation, Policy, PolicyState, Question};

pub use case::{Case, PrincipalText, QuestionText, Suite, Verdict, read_claims};
pub use configured::Configured;
pub use file::PolicyError;
use identity::Identity;
use index::Index;
pub use reload::{ReloadingPolicy, Source, Watch};
use rule::Rule;
pub use text::{OperationText, schema};

/// The rules of one policy file, ready to be asked.
#[derive(Debug, Clone)]
pub struct RulePolicy {
    rules: Vec<Rule>,
    index: Index,
    digest: Digest,
}

impl RulePolicy {
    /// Reads and checks a policy file.
    ///
    /// # Errors
    /// Names the file, the rule, what would be right, and line and column.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        file::load(path)
    }

    /// Reads and checks the content of a policy file.
    ///
    /// # Errors
    /// As [`RulePolicy::load`], without the file's name.
    pub fn parse(content: &[u8]) -> Result<Self, String> {
        file::parse(content)
    }

    fn new(rules: Vec<Rule>, digest: Digest) -> Self {
        Self { index: Index::new(&rules), rules, digest }
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// What the author of the rule with this id says of it.
    pub fn description(&self, id: &str) -> Option<&str> {
        self.rules.iter().find(|rule| rule.id == id)?.description.as_deref()
    }

    /// The issuers that rules name, each once.
    pub fn issuers(&self) -> BTreeSet<&str> {
        let identities = self.rules.iter().flat_map(|rule| rule.identities.iter().flatten());
        identities
            .filter_map(|identity| match identity {
                Identity::Issuer { name, .. } => Some(name.as_str()),
                Identity::Token(_) | Identity::Certificate(_) => None,
            })
            .collect()
    }

    /// Whether everything is denied.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Policy for RulePolicy {
    fn decide(&self, question: &Question<'_>) -> Decision {
        self.decide_among(&self.index.candidates(question.principal), question)
    }

    fn reach(&self, question: &Question<'_>) -> (Decision, Reach) {
        self.reach_among(&self.index.candidates(question.principal), question)
    }

    fn explain(&self, question: &Question<'_>) -> Explanation {
        self.explain_all(question)
    }

    fn nearest(&self, question: &Question<'_>) -> Vec<Missing> {
        self.nearest_of(question)
    }

    fn state(&self) -> PolicyState {
        PolicyState { digest: self.digest, rules: self.rules.len(), refused: None }
    }
}

/// Characters of a caller's or an author's text in a sentence.
const SHOWN: usize = 200;

/// `text`, cut, and without what could make a line lie.
fn shown(text: &str) -> String {
    input::shown(text, SHOWN)
}
