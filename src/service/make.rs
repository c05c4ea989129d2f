//! Having signatures made: intent, Vault, check, outcome.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::{Either, join_all, select};

use crate::domain::{Entry, Event, Outcome, Record, Signing, Timestamp};
use crate::ports::{
    BatchPlace, DeliveryChange, LogError, Minute, Parcel, Recorder, Signed, SignerError, SigningLog,
    SigningTask, Transparency,
};

use super::gate::covered;
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

        let recorder: Arc<dyn Recorder> =
            Arc::new(Minutes { log: Arc::clone(&self.log), transparency: Arc::clone(&self.transparency) });
        let (mut answers, mut failures) = (Vec::with_capacity(orders.len()), Vec::new());
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
                Ok(Signed { signature, batch, request_id, member }) => {
                    let result = Outcome::Signed {
                        batch,
                        signature,
                        signed_at: whole_second(now),
                        vault_request_id: request_id,
                    };
                    let entry = order.head.followed_by(now, Event::Outcome { signing, result });
                    let record = record_of(0, &entry);
                    let recorded = member.record(Arc::clone(&recorder), order.minute(entry));
                    Ok(async move { Ok(Record { index: recorded.await?, ..record }) })
                }
                // Without a log there was no intent, and nothing was signed.
                Err(error @ SignerError::Log(_)) => Err(error.into()),
                Err(error) => {
                    let error = ServiceError::from(error);
                    tracing::warn!(%error, key = %order.wanted.key.name, "not signed");
                    let result = Outcome::Failed { code: error.code().to_owned() };
                    failures.push(order.head.followed_by(now, Event::Outcome { signing, result }));
                    Err(error)
                }
            });
        }
        if !failures.is_empty()
            && let Err(error) = self.log.append(failures).await
        {
            // Who has a failure already is told of that, and not of the log's.
            tracing::error!(%error, "outcomes could not be logged");
        }
        join_all(answers.into_iter().map(async |answer| answer?.await)).await
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

impl Order<'_> {
    fn minute(&self, entry: Entry) -> Minute {
        let delivery = self.delivery.map(|Shipping { replace, due }| {
            (Parcel { document: self.wanted.document.clone(), replace }, due)
        });
        Minute { entry, delivery }
    }
}

/// Writes outcomes down, and lets go of signatures when nothing can be lost of them and nothing is left to be proven.
struct Minutes {
    log: Arc<dyn SigningLog>,
    transparency: Arc<dyn Transparency>,
}

#[async_trait]
impl Recorder for Minutes {
    async fn record(&self, minutes: Vec<Minute>, place: BatchPlace) -> Result<u64, LogError> {
        let (mut entries, mut deliveries) = (Vec::with_capacity(minutes.len()), Vec::new());
        for Minute { entry, delivery } in minutes {
            if let Some((parcel, due)) = delivery {
                deliveries.push(DeliveryChange::Add { entry: entries.len(), parcel, due });
            }
            entries.push(entry);
        }
        let last = entries.len().saturating_sub(1) as u64;
        let committed = self.log.commit(entries, deliveries).await;
        let first = committed.inspect_err(|error| tracing::error!(%error, "outcomes could not be logged"))?;
        let covered = pin!(covered(self.transparency.as_ref(), first + last));
        // Nobody waits behind those who wait for a checkpoint that may not come for long.
        match select(covered, pin!(self.transparency.failing())).await {
            Either::Left((covered, _)) => covered?,
            Either::Right(((), covered)) => {
                drop(place);
                covered.await?;
            }
        }
        Ok(first)
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
