//! One signature as callers see it, and looking it up.

use crate::domain::{Claim, Content, Operation, Record, SignatureId};
use crate::ports::Question;

use super::wanted::document;
use super::{Caller, Service, ServiceError};

/// A record with the document that was signed.
#[derive(Debug, Clone)]
pub struct SignatureView {
    pub record: Record,
    /// The simple-signing payload or the in-toto statement. None where somebody else wrote it, in other bytes
    /// than we do: then the registry has it, and the log has its digest.
    pub payload: Option<Content>,
    /// That the log holds it, as `c2sp.org/tlog-proof@v1`; none where no checkpoint covers it yet.
    pub proof: Option<String>,
}

impl SignatureView {
    pub fn of(record: Record) -> Self {
        let payload = record
            .subject
            .image()
            .filter(|_| record.signing.claim.is_image())
            .map(|image| document(&image, record.signing.format, &record.signing.annotations))
            .filter(|payload| payload.digest() == record.signing.payload);
        Self { record, payload, proof: None }
    }
}

impl Service {
    /// The state of one signature. While no checkpoint covers it, it is pending.
    ///
    /// # Errors
    /// [`ServiceError::SignatureNotFound`] also for one that the caller may neither have made nor read.
    pub async fn signature(&self, caller: &Caller, id: SignatureId) -> Result<SignatureView, ServiceError> {
        let not_found = ServiceError::SignatureNotFound(id);
        let record = self.log.record(id).await?.ok_or(not_found.clone())?;
        let (operation, predicate_type) = match &record.signing.claim {
            Claim::Image => (Operation::Sign, None),
            Claim::Attestation { predicate_type, .. } => (Operation::Attest, Some(predicate_type.as_str())),
            Claim::Blob { .. } => (Operation::Blob, None),
        };
        let made = Question {
            repository: record.subject.repository.as_ref(),
            digest: Some(record.subject.digest),
            key: Some(&record.signing.key.name),
            predicate_type,
            annotations: Some(&record.signing.annotations),
            ..self.question(caller, operation)
        };
        let read = || self.reach(&self.question(caller, Operation::LogRead)).1;
        match self.decide(&made).allowed || read().sees(record.subject.repository.as_ref()) {
            true => {
                let record = self.shown(record).await?;
                Ok(SignatureView { proof: self.proof(&record).await, ..SignatureView::of(record) })
            }
            false => Err(not_found),
        }
    }
}
