//! What Signet does, one operation a file. Knows formats and ports; HTTP and wiring know it.

mod attach;
mod error;
mod existing;
mod keys;
mod locks;
mod log;
mod sign;
mod signature;
mod verify;
mod wanted;

use std::sync::Arc;

use crate::domain::{Clock, Entry, Event, IdSource, KeyName, Operation, Principal, RequestId};
use crate::ports::{Decision, Policy, Question, Registry, Signer, SigningLog};

pub use error::ServiceError;
pub use locks::ImageLocks;
pub use sign::{SignAnswer, SignRequest};
pub use signature::SignatureView;
pub use verify::{Inspected, LargeBlobs, Statement, Verdict, Verification, VerifyRequest};

/// All operations, over the ports that they need.
pub struct Service {
    pub signer: Arc<dyn Signer>,
    pub registry: Arc<dyn Registry>,
    pub policy: Arc<dyn Policy>,
    pub log: Arc<dyn SigningLog>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub locks: ImageLocks,
    pub large_blobs: LargeBlobs,
    /// The keys that may sign images, sorted.
    pub image_keys: Vec<KeyName>,
}

/// Who asks, and in which request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    pub request_id: RequestId,
}

impl Service {
    /// The decision that allows `question`.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] where policy denies. A refusal about an image is logged.
    fn permit(
        &self,
        caller: &Caller,
        image: Option<&crate::domain::ImageReference>,
        question: &Question<'_>,
    ) -> Result<Decision, ServiceError> {
        let decision = self.policy.decide(question);
        if decision.allowed {
            return Ok(decision);
        }
        tracing::info!(principal = %caller.principal, operation = %question.operation, rule = decision.rule, "refused by policy");
        if let Some(image) = image {
            let event = Event::Refusal { key: question.key.cloned() };
            let rule = (decision.rule, decision.policy);
            let (id, who) = (caller.request_id.clone(), &caller.principal);
            self.log.offer(Entry::new(self.clock.now(), id, who, question.operation, image, rule, event));
        }
        Err(ServiceError::Forbidden)
    }

    /// Which of the keys for images the caller may use for `operation` on the image's repository, in any format.
    fn permitted_keys(
        &self,
        caller: &Caller,
        operation: Operation,
        repository: &crate::domain::Repository,
    ) -> Vec<KeyName> {
        let permitted = |name: &&KeyName| {
            let question = Question {
                principal: &caller.principal,
                operation,
                repository: Some(repository),
                key: Some(name),
                format: None,
            };
            self.policy.decide(&question).allowed
        };
        self.image_keys.iter().filter(permitted).cloned().collect()
    }
}
