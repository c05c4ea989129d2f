use crate::domain::{Digest, Format, KeyName, Operation, Principal, Repository};

/// What a principal wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub principal: &'a Principal,
    pub operation: Operation,
    /// None for operations that concern no repository.
    pub repository: Option<&'a Repository>,
    /// None for operations that use no key.
    pub key: Option<&'a KeyName>,
    /// None where the format is not known yet: then a rule for any format allows.
    pub format: Option<Format>,
}

/// What policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// The id of the rule that decided; none where no rule spoke.
    pub rule: Option<String>,
    /// SHA-256 of the policy that was in force.
    pub policy: Digest,
}

/// May they, and by which rule? What no rule allows is denied; a deny rule beats an allow rule.
pub trait Policy: Send + Sync {
    fn decide(&self, question: &Question<'_>) -> Decision;
}
