//! Having signatures made: intent, Vault, check, outcome.

use crate::domain::{Entry, Event, Outcome, Record, Signing, Timestamp};
use crate::ports::{DeliveryChange, Parcel, SignerError, SigningTask};

use super::wanted::Wanted;
use super::{Service, ServiceError};

/// A signature to be made.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// What all entries of the request have in common.
    pub head: &'a Entry,
    pub wanted: &'a Wanted,
    /// Whether it goes to a registry, and with what; then it is in the outbox when it exists.
    pub delivery: Option<Shipping>,
}

/// How a signature goes to its registry.
#[derive(Debug, Clone, Copy)]
pub struct Shipping {
    /// Whether other attestations of the same type and key give way.
    pub replace: bool,
    /// When the outbox takes it over, unless the request has attached it by then.
    pub due: Timestamp,
}

impl Service {
    /// Has Vault sign all of `orders`, those of one key version in one call, checks what comes back, and records it.
    /// An answer for each, in their order.
    ///
    /// When there is a signature, its outcome is durable and covered by a published checkpoint, and its delivery is durable:
    /// nothing that is signed is lost, and nothing leaves that can not be proven.
    pub(super) async fn make(&self, orders: &[Order<'_>]) -> Vec<Result<Record, ServiceError>> {
        let signings: Vec<_> =
            orders.iter().map(|order| self.signing(order.wanted, order.head.time)).collect();
        let task = |(order, signing): (&Order<'_>, &Signing)| SigningTask {
            key: order.wanted.key.name.clone(),
            version: order.wanted.key.version,
            input: order.wanted.input.clone(),
            entry: order.head.clone(),
            signing: signing.clone(),
        };
        let results = self.signer.sign_all(orders.iter().zip(&signings).map(task).collect()).await;
        let now = self.clock.now();

        let mut minutes = Minutes::default();
        let mut answers = Vec::with_capacity(orders.len());
        for ((order, signing), result) in orders.iter().zip(signings).zip(results) {
            let checked = result.and_then(|signed| match order.wanted.is_met_by(&signed.signature) {
                true => Ok(signed),
                false => Err(SignerError::Unavailable {
                    reason: format!(
                        "the signature of batch {} does not verify with version {} of {}",
                        signed.batch, order.wanted.key.version, order.wanted.key.name
                    ),
                    retry_after: None,
                }),
            });
            answers.push(match checked {
                Ok(signed) => {
                    let result = Outcome::Signed {
                        batch: signed.batch,
                        signature: signed.signature,
                        signed_at: whole_second(now),
                        vault_request_id: signed.request_id,
                    };
                    Ok(minutes.signed(order, order.head.followed_by(now, Event::Outcome { signing, result })))
                }
                // Without a log there was no intent, and nothing was signed.
                Err(error @ SignerError::Log(_)) => Err(error.into()),
                Err(error) => {
                    let error = ServiceError::from(error);
                    tracing::warn!(%error, key = %order.wanted.key.name, "not signed");
                    let result = Outcome::Failed { code: error.code().to_owned() };
                    minutes.entries.push(order.head.followed_by(now, Event::Outcome { signing, result }));
                    Err(error)
                }
            });
        }
        self.record(minutes, answers).await
    }

    /// Commits the minutes; the signatures leave only if that is durable, and one checkpoint covers them all.
    async fn record(
        &self,
        minutes: Minutes,
        answers: Vec<Result<usize, ServiceError>>,
    ) -> Vec<Result<Record, ServiceError>> {
        let Minutes { entries, deliveries } = minutes;
        let committed = match entries.is_empty() {
            true => Ok(0),
            false => self.log.commit(entries.clone(), deliveries).await,
        };
        match committed {
            Ok(first) => {
                let signed = answers.iter().filter_map(|answer| answer.as_ref().ok()).max();
                let covered = match signed {
                    Some(place) => self.covered(first + *place as u64).await,
                    None => Ok(()),
                };
                let record = |place: usize| record_of(first + place as u64, &entries[place]);
                let release = |place: usize| covered.clone().map(|()| record(place));
                answers.into_iter().map(|answer| answer.and_then(release)).collect()
            }
            Err(error) => {
                tracing::error!(%error, "outcomes could not be logged");
                // Who has a failure already is told of that, and not of the log's.
                answers.into_iter().map(|answer| Err(answer.err().unwrap_or(error.clone().into()))).collect()
            }
        }
    }

    pub(super) fn signing(&self, wanted: &Wanted, now: Timestamp) -> Signing {
        Signing {
            id: self.ids.signature_id(now),
            key: wanted.key.clone(),
            format: wanted.format,
            annotations: wanted.annotations.clone(),
            claim: wanted.claim.clone(),
            payload: wanted.payload,
        }
    }

    /// What our log has of the wanted signature, where that verifies.
    pub(super) async fn logged(&self, wanted: &Wanted) -> Result<Option<Record>, ServiceError> {
        let record = self.log.find(wanted.identity()).await?;
        Ok(record.filter(|record| wanted.is_met_by_record(record)))
    }

    /// Appends an entry about a failure. The caller is told of that failure, not of the log's.
    pub(super) async fn note(&self, entry: Entry, changes: Vec<DeliveryChange>) {
        if let Err(error) = self.log.commit(vec![entry], changes).await {
            tracing::error!(%error, "a failure could not be logged");
        }
    }
}

/// What is to be committed when Vault has answered.
#[derive(Default)]
struct Minutes {
    entries: Vec<Entry>,
    deliveries: Vec<DeliveryChange>,
}

impl Minutes {
    /// Takes an outcome down, and its delivery with it; its place among the entries.
    fn signed(&mut self, order: &Order<'_>, entry: Entry) -> usize {
        let place = self.entries.len();
        self.entries.push(entry);
        if let Some(Shipping { replace, due }) = order.delivery {
            let parcel = Parcel { document: order.wanted.document.clone(), replace };
            self.deliveries.push(DeliveryChange::Add { entry: place, parcel, due });
        }
        place
    }
}

/// The record of an entry that speaks of a signature.
pub(super) fn record_of(index: u64, entry: &Entry) -> Record {
    Record::from_entries([(index, entry)])
        .expect("invariant: an outcome and an adoption speak of a signature")
}

/// Registries and people read dates by the second.
pub(super) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
