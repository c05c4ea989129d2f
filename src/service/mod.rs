//! What Signet does, one operation a file. Knows formats and ports; HTTP and wiring know it.

mod attach;
mod attest;
mod audit;
mod budgets;
mod courier;
mod decide;
mod delivery;
mod error;
mod existing;
mod expand;
mod export;
mod gate;
mod keyring;
mod keys;
mod locks;
mod log;
mod log_tiles;
mod look;
mod make;
mod present;
mod quiet;
mod repeats;
mod replace;
mod sign;
mod sign_blob;
mod signature;
mod turns;
mod verify;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::{
    Clock, Entry, Event, IdSource, ImageReference, Operation, Principal, Reach, RequestId, Subject,
};
use crate::metrics::Metrics;
use crate::ports::{
    Decision, LogRange, LogSearch, Outbox, Policy, Question, Registry, RegistryError, RegistrySettings,
    SharedLocks, Signer, SigningLog, Transparency,
};

pub use attest::{AttestRequest, MAX_PREDICATE, PredicateChecks, PredicateType};
pub use audit::{
    Day, Overview, Presence, ProvenEntry, Radius, RadiusRequest, RadiusRow, Story, VersionCount,
};
pub use budgets::{Budget, Budgets, Per};
pub use decide::{About, DecisionRequest, Explained};
pub use delivery::DeliverySettings;
pub use error::ServiceError;
pub use export::{Export, ExportForm, ExportRequest};
pub use keyring::KeyPurposes;
pub use locks::ImageLocks;
pub use log::{SignatureList, StateFilter};
pub use present::Present;
pub use quiet::Quiet;
pub use repeats::Repeats;
pub use sign::{MadeSignature, SignAnswer, SignRequest, SignedImage};
pub use sign_blob::{File, SignBlobRequest, SignedBlob};
pub use signature::SignatureView;
pub use verify::{
    Inspected, LargeBlobs, Statement, Verdict, Verification, VerificationEntries, VerifyRequest,
};

/// All operations, over the ports that they need.
pub struct Service {
    pub signer: Arc<dyn Signer>,
    pub registry: Arc<dyn Registry>,
    pub policy: Arc<dyn Policy>,
    pub log: Arc<dyn SigningLog>,
    pub ranges: Arc<dyn LogRange>,
    pub search: Arc<dyn LogSearch>,
    pub transparency: Arc<dyn Transparency>,
    pub outbox: Arc<dyn Outbox>,
    pub shared_locks: Arc<dyn SharedLocks>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub metrics: Arc<Metrics>,
    pub locks: ImageLocks,
    pub large_blobs: LargeBlobs,
    pub keys: KeyPurposes,
    pub delivery: DeliverySettings,
    pub checks: PredicateChecks,
    pub verifications: VerificationEntries,
    pub refusals: Repeats,
    pub readings: Repeats,
    pub budgets: Budgets,
    pub present: Present,
    /// Lines about what rules would do that only observe.
    pub observed: Quiet,
    /// Manifests of one request: an index and all that it lists.
    pub index_members: usize,
    /// No request takes longer, with all that it asks of others.
    pub longest_request: Duration,
    /// Wakes who empties the outbox.
    pub wake: Notify,
}

/// Who asks, and in which request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    pub request_id: RequestId,
}

impl Service {
    /// A question of the caller about nothing in particular yet.
    fn question<'a>(&self, caller: &'a Caller, operation: Operation) -> Question<'a> {
        Question::new(&caller.principal, operation, self.clock.now())
    }

    /// What was decided about the image's registry.
    ///
    /// # Errors
    /// Where it is not configured.
    fn registry_settings(&self, image: &ImageReference) -> Result<RegistrySettings, ServiceError> {
        let host = image.repository.host();
        Ok(self.registry.settings(host).ok_or_else(|| RegistryError::NotConfigured(host.to_owned()))?)
    }

    /// The decision that allows `question`.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] where policy denies, which is logged.
    fn permit(&self, caller: &Caller, question: &Question<'_>) -> Result<Decision, ServiceError> {
        let decision = self.decide(question);
        if decision.allowed { Ok(decision) } else { Err(self.refuse(caller, question, decision)) }
    }

    /// As [`Service::permit`], for reading the log: also told how much of it.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`] where policy lets the caller read nothing, which is logged.
    fn permit_some(
        &self,
        caller: &Caller,
        question: &Question<'_>,
    ) -> Result<(Decision, Reach), ServiceError> {
        let (decision, reach) = self.reach(question);
        if decision.allowed { Ok((decision, reach)) } else { Err(self.refuse(caller, question, decision)) }
    }

    /// Logs that policy has denied `question`.
    fn refuse(&self, caller: &Caller, question: &Question<'_>, decision: Decision) -> ServiceError {
        let repository = question.repository.cloned();
        let subject = question.digest.map(|digest| Subject { repository, digest });
        let event = Event::refusal(question.key.cloned(), Vec::new());
        let (id, who) = (caller.request_id.clone(), &caller.principal);
        let (now, operation) = (question.now, question.operation);
        let refusal = Entry::new(now, id, who, operation, subject, decision.ruling, event);
        self.refused(refusal, || self.policy.nearest(question));
        ServiceError::Forbidden
    }

    /// What policy says of something that is about to be done.
    fn decide(&self, question: &Question<'_>) -> Decision {
        self.counted(question, self.policy.decide(question))
    }

    /// How much of the log whoever asks is about to be shown, at most.
    fn reach(&self, question: &Question<'_>) -> (Decision, Reach) {
        let (decision, reach) = self.policy.reach(question);
        (self.counted(question, decision), reach)
    }

    /// The decision, which the metrics know then.
    fn counted(&self, question: &Question<'_>, decision: Decision) -> Decision {
        self.metrics.policy_decision(&question.operation, decision.allowed);
        for rule in &decision.observed {
            self.metrics.policy_observed(rule);
            if let Some(left_out) = self.observed.line(question.now) {
                let (allowed, principal) = (decision.allowed, question.principal);
                tracing::info!(rule, allowed, %principal, operation = %question.operation, left_out, "a rule that only observes would decide otherwise");
            }
        }
        decision
    }
}
