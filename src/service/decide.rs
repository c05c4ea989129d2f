//! What policy would say, without doing it.

use super::{AttestRequest, Caller, PredicateType, Service, ServiceError, SignBlobRequest, SignRequest};
use crate::domain::{Annotations, Digest, Format, ImageReference, KeyName, Operation, Principal};
use crate::ports::{Explanation, Question};

/// What is asked.
#[derive(Debug, Clone)]
pub struct DecisionRequest {
    pub about: About,
    pub operation: Operation,
    /// None for operations that concern no image.
    pub image: Option<ImageReference>,
    /// None: some key.
    pub key: Option<KeyName>,
    /// None: some format.
    pub format: Option<Format>,
    pub predicate_type: Option<PredicateType>,
    pub annotations: Annotations,
}

/// Whom a question is about.
#[derive(Debug, Clone)]
pub enum About {
    Caller,
    /// Somebody who need not exist: this is no proof of who they are, and is good for nothing but asking.
    Other(Principal),
}

/// What policy says.
#[derive(Debug, Clone)]
pub struct Explained {
    pub explanation: Explanation,
    /// Whether the caller may know what each rule had to do with it.
    pub in_full: bool,
}

impl Service {
    /// What policy says of the caller, or, to those who may ask for explanations, of others. Nothing is logged, nothing is
    /// counted, and nobody else is asked.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] for others where policy does not let the caller ask for explanations.
    pub fn explain(&self, caller: &Caller, request: &DecisionRequest) -> Result<Explained, ServiceError> {
        let in_full = self.policy.decide(&self.question(caller, Operation::PolicyExplain)).allowed;
        let principal = match &request.about {
            About::Caller => &caller.principal,
            About::Other(principal) if in_full => principal,
            About::Other(_) => return Err(ServiceError::Forbidden),
        };
        let question = Question {
            repository: request.image.as_ref().map(|image| &image.repository),
            digest: request.image.as_ref().map(|image| image.digest),
            key: request.key.as_ref(),
            format: request.format,
            predicate_type: request.predicate_type.as_ref().map(PredicateType::as_str),
            annotations: Some(&request.annotations),
            ..Question::new(principal, request.operation, self.clock.now())
        };
        let explanation = match in_full {
            true => self.policy.explain(&question),
            false => Explanation { decision: self.policy.decide(&question), rules: Vec::new() },
        };
        Ok(Explained { explanation, in_full })
    }

    /// Whether policy would let the caller sign the image now, as far as that is known without looking at the image.
    pub fn may_sign(&self, caller: &Caller, request: &SignRequest) -> bool {
        let question = request.question(self.question(caller, Operation::Sign));
        self.may(&Question { format: request.format, ..question }, request.key.as_ref())
    }

    /// As [`Service::may_sign`], for attestations.
    pub fn may_attest(&self, caller: &Caller, request: &AttestRequest) -> bool {
        let question = request.question(self.question(caller, Operation::Attest));
        self.may(&Question { format: request.format, ..question }, request.key.as_ref())
    }

    /// As [`Service::may_sign`], for files.
    pub fn may_sign_blob(&self, caller: &Caller, request: &SignBlobRequest) -> bool {
        let digest: Digest = request.file.digest();
        let question = Question { digest: Some(digest), ..self.question(caller, Operation::Blob) };
        self.may(&question, request.key.as_ref())
    }

    /// Where the key is left open, whether there is one left to choose, as there was when it was chosen.
    fn may(&self, question: &Question<'_>, key: Option<&KeyName>) -> bool {
        let allowed = |key| self.policy.decide(&Question { key: Some(key), ..*question }).allowed;
        match key {
            Some(key) => allowed(key),
            None => self.keys.of(question.operation).iter().filter(|key| allowed(key)).count() == 1,
        }
    }
}
