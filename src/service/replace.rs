//! An attestation in the place of others: which give way, and what becomes of them.

use crate::domain::{Claim, Entry, KeyReference, Signing, State};
use crate::ports::SignaturesOf;

use super::attach::{Finished, Outdated};
use super::{Service, ServiceError};

/// Why something is attached no more: something else was attached in its place.
pub(super) const REPLACED: &str = "replaced";

impl Service {
    /// What gives way to an attestation, where anything does: those by any version of its key.
    pub(super) async fn outdated(&self, finished: &Finished, replace: bool) -> Outdated {
        if !replace {
            return Outdated::default();
        }
        let KeyReference { name, fingerprint, .. } = &finished.signing.key;
        // Without the key's other versions, what they signed stays. That is better than not to attach.
        let versions = self.signer.key(name).await.map(|key| Outdated::by(&key)).unwrap_or_default();
        Outdated(versions.0.into_iter().chain([*fingerprint]).collect())
    }

    /// What an attestation has replaced, where it replaces anything: what is attached, or on its way to be, of the same
    /// image, type and key, and not younger. Whoever looks whether it is still there would put it back.
    pub(super) async fn replaced(
        &self,
        head: &Entry,
        finished: &Finished,
        replace: bool,
    ) -> Result<Vec<Signing>, ServiceError> {
        let signing = &finished.signing;
        if !replace {
            return Ok(Vec::new());
        }
        let Claim::Attestation { predicate_type, .. } = &signing.claim else { return Ok(Vec::new()) };
        let same = |other: &Signing| {
            let same_type = matches!(&other.claim, Claim::Attestation { predicate_type: other, .. } if other == predicate_type);
            same_type && other.id != signing.id && other.format == signing.format
        };
        let mut replaced = Vec::new();
        for other in self.signed_with(head, signing).await?.into_iter().filter(same) {
            let record = self.log.record(other.id).await?;
            let state = record.map(|record| record.state);
            if let Some(State::Signed { signed_at, .. } | State::Attached { signed_at, .. }) = state
                && signed_at <= finished.signed_at
            {
                replaced.push(other);
            }
        }
        Ok(replaced)
    }

    /// All signatures of the image by `signing`'s key.
    async fn signed_with(&self, head: &Entry, signing: &Signing) -> Result<Vec<Signing>, ServiceError> {
        let Some(subject) = head.subject.clone() else { return Ok(Vec::new()) };
        let key = signing.key.name.clone();
        Ok(self.log.signed(SignaturesOf { subject, key }).await?)
    }
}
