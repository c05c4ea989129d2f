use std::num::NonZeroU32;

use crate::domain::{
    Annotations, Digest, Format, KeyName, Missing, Operation, Principal, Reach, Repository, Ruling, Timestamp,
};

/// What a principal wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub principal: &'a Principal,
    pub operation: Operation,
    /// None for operations that concern no repository; of reading the log, for the whole log.
    pub repository: Option<&'a Repository>,
    /// None for operations that concern no subject, and where it does not matter yet.
    pub digest: Option<Digest>,
    /// None for operations that use no key, and where it is not chosen yet: then one that allows some key allows.
    pub key: Option<&'a KeyName>,
    /// None for operations that know no formats, and where it is not known yet: then what allows some format allows.
    pub format: Option<Format>,
    /// The URI of what is attested, or of what attestations are looked for.
    pub predicate_type: Option<&'a str>,
    /// What is to be signed beside the digest.
    pub annotations: Option<&'a Annotations>,
    /// When it is asked.
    pub now: Timestamp,
}

impl<'a> Question<'a> {
    /// A question about nothing in particular, to be made more exact.
    pub const fn new(principal: &'a Principal, operation: Operation, now: Timestamp) -> Self {
        Self {
            principal,
            operation,
            repository: None,
            digest: None,
            key: None,
            format: None,
            predicate_type: None,
            annotations: None,
            now,
        }
    }
}

/// What policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// Which rule decided, for the log.
    pub ruling: Ruling,
    /// How often the rule lets the principal do it. Nothing where it is denied.
    pub limits: RuleLimits,
    /// The ids of rules that only observe and that would have changed the decision.
    pub observed: Vec<String>,
}

/// How many signatures a rule allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleLimits {
    /// To each principal, within any hour.
    pub per_hour: Option<NonZeroU32>,
    /// With one token, as long as it lives.
    pub per_token: Option<NonZeroU32>,
}

/// A decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub decision: Decision,
    /// Every rule, in the order of the file.
    pub rules: Vec<RuleVerdict>,
}

/// What one rule has to do with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleVerdict {
    pub id: String,
    /// Whether the rule allows; else it denies.
    pub allows: bool,
    /// Whether the rule decides nothing and is only watched.
    pub observes: bool,
    /// The first condition that does not hold, with what was found: `identity.claims.ref_protected: …`. None where the
    /// rule matches.
    pub failed: Option<String>,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyState {
    /// SHA-256 of the file.
    pub digest: Digest,
    pub rules: usize,
    /// Why a newer file is not in force.
    pub refused: Option<String>,
}

/// May they, and by which rule? What no rule allows is denied; a deny rule beats an allow rule.
pub trait Policy: Send + Sync {
    fn decide(&self, question: &Question<'_>) -> Decision;

    /// How much of the log `question.principal` may read at `question.now`, whatever else the question says. Where it is nothing, the
    /// decision denies.
    ///
    /// [`Policy::decide`] agrees with it: reading about a repository is allowed where the reach sees it, and reading about none
    /// where the reach is whole.
    fn reach(&self, question: &Question<'_>) -> (Decision, Reach);

    /// As [`Policy::decide`], and what every rule had to do with it. Slower.
    fn explain(&self, question: &Question<'_>) -> Explanation;

    /// The rules that came nearest to allowing what [`Policy::decide`] has denied without one, a few at most, for the log. It looks at every
    /// rule.
    fn nearest(&self, question: &Question<'_>) -> Vec<Missing>;

    fn state(&self) -> PolicyState;
}
