//! Attesting something about an image.

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::domain::{Format, ImageReference, KeyName, KeyVersion, Operation};
use crate::format::predicate;
use crate::ports::Question;

use super::attach::Outdated;
use super::budgets::Paid;
use super::expand::Member;
use super::keyring::across_rotation;
use super::look::Wish;
use super::sign::{Decisions, Job, MadeSignature};
use super::wanted::Saying;
use super::{Caller, Service, ServiceError};

pub use crate::format::predicate::PredicateType;

/// Bytes of a predicate.
pub const MAX_PREDICATE: usize = predicate::MAX_BYTES;

/// How many predicates are held against their types at once: each may need several times its size meanwhile.
#[derive(Debug)]
pub struct PredicateChecks(Semaphore);

impl Default for PredicateChecks {
    fn default() -> Self {
        Self(Semaphore::new(2))
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct AttestRequest {
    pub image: ImageReference,
    pub predicate_type: PredicateType,
    /// JSON, as it was received. It is signed byte for byte.
    pub predicate: Bytes,
    /// May be left out where policy leaves one choice.
    pub key: Option<KeyName>,
    /// None is the latest.
    pub key_version: Option<KeyVersion>,
    /// None is what the image has, else what its registry gets by default.
    pub format: Option<Format>,
    /// Whether other attestations of this type by any version of this key give way.
    pub replace: bool,
    /// Whether what is signed may be attached after the answer.
    pub respond_async: bool,
}

impl AttestRequest {
    /// `asked`, about this request; key and format are left open.
    pub(super) fn question<'a>(&'a self, asked: Question<'a>) -> Question<'a> {
        Question {
            repository: Some(&self.image.repository),
            digest: Some(self.image.digest),
            predicate_type: Some(self.predicate_type.as_str()),
            ..asked
        }
    }
}

impl Service {
    /// Attests the predicate, or finds the same attestation where it is there already: the same type, bytes, key version
    /// and format. What is promised of signatures is promised of attestations.
    ///
    /// # Errors
    /// As for signatures. Also where the predicate is not what its type says, or the key can not sign that much.
    pub async fn attest(
        &self,
        caller: &Caller,
        request: &AttestRequest,
    ) -> Result<MadeSignature, ServiceError> {
        let paid = Paid::default();
        across_rotation(request.key_version, || self.attest_once(caller, request, &paid)).await
    }

    async fn attest_once(
        &self,
        caller: &Caller,
        request: &AttestRequest,
        paid: &Paid,
    ) -> Result<MadeSignature, ServiceError> {
        let AttestRequest { image, predicate_type, predicate, format, replace, .. } = request;
        let settings = self.registry_settings(image)?;
        let question = request.question(self.question(caller, Operation::Attest));
        let key = self.choose_key(caller, &question, request.key.as_ref())?;
        let mut decisions = Decisions::new(self, caller, Question { key: Some(&key), ..question });
        decisions.on(*format)?;
        if *replace && *format == Some(Format::Bundle) {
            return Err(ServiceError::ReplaceUnsupported);
        }
        self.check_predicate(predicate_type, predicate).await?;
        let chosen = self.choose_version(&key, request.key_version).await?;
        let saying = Saying::Attested {
            predicate_type: predicate_type.as_str().to_owned(),
            predicate: predicate.clone(),
        };
        let outdated = if *replace { Outdated::by(&chosen.key) } else { Outdated::default() };

        let _turn = self.turn(image).await?;
        let wish = Wish { chosen: &chosen, saying: &saying, format: *format, outdated: &outdated };
        let look = self.look(image, wish, &settings).await?;
        let decision = decisions.on(format.or(Some(look.wanted.format)))?;
        if *replace && look.wanted.format == Format::Bundle {
            return Err(ServiceError::ReplaceUnsupported);
        }
        if look.found.is_none() {
            look.require_room(settings.max_signatures)?;
        }
        let limits = decision.limits;
        let head = self.head(caller, Operation::Attest, image, decision);
        let member = Member { image: image.clone(), height: 0 };
        let job = Job { member, look, head, limits, replace: *replace };
        let mut results = self.work(caller, paid, &[job], request.respond_async).await?;
        results.pop().expect("invariant: a job has a result")
    }

    /// Holds the predicate against its type, where that keeps nobody from being served: it may take a tenth of a second.
    async fn check_predicate(
        &self,
        predicate_type: &PredicateType,
        predicate: &Bytes,
    ) -> Result<(), ServiceError> {
        if predicate.len() > MAX_PREDICATE {
            return Err(ServiceError::PredicateTooLarge { size: predicate.len() });
        }
        let (predicate_type, predicate) = (predicate_type.clone(), predicate.clone());
        let _turn = self.checks.0.acquire().await;
        let checked = tokio::task::spawn_blocking(move || predicate_type.check(&predicate)).await;
        Ok(checked.map_err(|_| ServiceError::Invalid("`predicate` can not be read.".to_owned()))??)
    }
}
