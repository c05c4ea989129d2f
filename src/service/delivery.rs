//! From a signature to its registry: the first attempt, what follows from a failure, and the later looks.

use std::time::Duration;

use crate::domain::{AttachResult, Attachment, Content, Entry, Event, Record, Signing, State, Timestamp};
use crate::ports::{Delivery, DeliveryChange, Stage};

use super::attach::{Finished, Seen};
use super::replace::REPLACED;
use super::{Service, ServiceError};

/// When what is done again.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// How long after it was attached a signature is looked at again, each time from the one before.
    pub look_again: Vec<Duration>,
    /// How long after it was made the outbox gives up attaching a signature.
    pub give_up_after: Duration,
}

impl DeliverySettings {
    /// How long whoever works on a delivery has it for himself. Who takes longer is joined, not disturbed: the turn on
    /// the image is his.
    pub const LEASE: Duration = Duration::from_secs(30);

    /// The longest pause between two attempts.
    const LONGEST_PAUSE: Duration = Duration::from_secs(300);

    pub fn lease_from(&self, now: Timestamp) -> Timestamp {
        later(now, Self::LEASE)
    }

    /// What is next once `signature` has been seen in the registry `looks` times after it was attached.
    fn next_look(&self, id: crate::domain::SignatureId, looks: usize, now: Timestamp) -> DeliveryChange {
        let stage = u8::try_from(looks).ok().map(Stage::LookAgain);
        match (stage, self.look_again.get(looks)) {
            (Some(stage), Some(pause)) => {
                DeliveryChange::Postpone { id, stage, attempts: 0, due: later(now, *pause) }
            }
            _ => DeliveryChange::Settle { id },
        }
    }

    /// What is next after `attempts` failed attempts of `stage`, the last of them with `error`: another one, or nothing
    /// where it is too late for that or waiting does not help.
    fn next_attempt(
        &self,
        finished: &Finished,
        stage: Stage,
        attempts: u32,
        error: &ServiceError,
        now: Timestamp,
    ) -> DeliveryChange {
        let id = finished.signing.id;
        if later(finished.signed_at, self.give_up_after) <= now || !error.is_retryable() {
            return DeliveryChange::Settle { id };
        }
        let pause = Self::pause_after(attempts).max(error.asked_to_wait().unwrap_or_default());
        DeliveryChange::Postpone { id, stage, attempts, due: later(now, pause) }
    }

    /// The pause after that many failed attempts: a second, two, four, and so on.
    fn pause_after(attempts: u32) -> Duration {
        let doubled = 1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        Duration::from_secs(doubled).min(Self::LONGEST_PAUSE)
    }
}

impl Service {
    /// Attaches a signature that exists, and writes down what became of it. `seen` is what was seen a moment ago.
    ///
    /// # Errors
    /// Where the registry did not take it. The outbox goes on trying, unless that can not help.
    pub(super) async fn attach(
        &self,
        head: &Entry,
        document: &Content,
        mut record: Record,
        seen: Option<Seen>,
        replace: bool,
    ) -> Result<Record, ServiceError> {
        let Some(finished) = Finished::of_record(&record, document) else { return Ok(record) };
        match self.attach_beside(&finished, seen, replace).await {
            Ok(attachment) => {
                let replaced = self.replaced(head, &finished, replace).await?;
                self.attached(head, &record.signing, &attachment, &replaced).await?;
                let (signature, signed_at) = (finished.signature, finished.signed_at);
                record.state = State::Attached { signature, signed_at, attachment };
                Ok(record)
            }
            Err(error) => {
                self.not_attached(head, &finished, 0, &error).await;
                Err(error)
            }
        }
    }

    /// Writes down that a signature is attached, and when to look at it again; and that it `replaced` others.
    pub(super) async fn attached(
        &self,
        head: &Entry,
        signing: &Signing,
        attachment: &Attachment,
        replaced: &[Signing],
    ) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let mut entries = vec![head.followed_by(now, attach_event(signing, attached_result(attachment)))];
        let mut changes = vec![self.delivery.next_look(signing.id, 0, now)];
        for other in replaced {
            changes.push(DeliveryChange::Settle { id: other.id });
            let result = AttachResult::GivenUp { code: REPLACED.to_owned() };
            entries.push(head.followed_by(now, attach_event(other, result)));
        }
        self.log.commit(entries, changes).await?;
        Ok(())
    }

    /// Writes down that a signature is not attached after one attempt more than `attempts`, and when to try again.
    async fn not_attached(&self, head: &Entry, finished: &Finished, attempts: u32, error: &ServiceError) {
        let signing = &finished.signing;
        let (now, code) = (self.clock.now(), error.code().to_owned());
        let attempts = attempts.saturating_add(1);
        let change = self.delivery.next_attempt(finished, Stage::Attach, attempts, error, now);
        let result = if let DeliveryChange::Settle { .. } = change {
            tracing::error!(%error, id = %signing.id, image = %finished.image, attempts, "signed, and given up attaching");
            self.metrics.delivery("given_up");
            AttachResult::GivenUp { code }
        } else {
            tracing::warn!(%error, id = %signing.id, image = %finished.image, attempts, "signed and not attached");
            self.metrics.delivery("failed");
            AttachResult::Failed { code }
        };
        self.note(head.followed_by(now, attach_event(signing, result)), vec![change]).await;
    }

    /// Does what is due of `delivery`. The caller has the turn on its image.
    pub(super) async fn deliver(&self, delivery: Delivery) -> Result<(), ServiceError> {
        let Some(finished) = Finished::of(&delivery) else { return Ok(()) };
        match delivery.stage {
            Stage::Attach => self.attach_later(&delivery, &finished, None).await,
            Stage::LookAgain(looks) => self.look_again(&delivery, &finished, usize::from(looks)).await,
        }
    }

    /// Attaches a signature beside all that is there. What was not seen a moment ago is looked at first: it may
    /// have been added to since, and must not be written over.
    async fn attach_beside(
        &self,
        finished: &Finished,
        seen: Option<Seen>,
        replace: bool,
    ) -> Result<Attachment, ServiceError> {
        let registry = self.registry.as_ref();
        let outdated = self.outdated(finished, replace).await;
        let seen = match seen {
            Some(seen) => seen,
            None => finished.look(registry).await?.1,
        };
        finished.attach(registry, seen, &outdated).await
    }

    async fn attach_later(
        &self,
        delivery: &Delivery,
        finished: &Finished,
        seen: Option<Seen>,
    ) -> Result<(), ServiceError> {
        // It may have been signed by somebody who ended before it could be proven.
        self.covered(delivery.index).await?;
        match self.attach_beside(finished, seen, delivery.parcel.replace).await {
            Ok(attachment) => {
                let Delivery { entry, parcel, .. } = delivery;
                let replaced = self.replaced(entry, finished, parcel.replace).await?;
                self.attached(entry, &finished.signing, &attachment, &replaced).await?;
                self.metrics.delivery("attached");
            }
            Err(error) => self.not_attached(&delivery.entry, finished, delivery.attempts, &error).await,
        }
        Ok(())
    }

    /// Whether somebody has overwritten the signature meanwhile: then it is put back.
    async fn look_again(
        &self,
        delivery: &Delivery,
        finished: &Finished,
        looks: usize,
    ) -> Result<(), ServiceError> {
        let now = self.clock.now();
        let id = finished.signing.id;
        match finished.look(self.registry.as_ref()).await {
            Ok((true, _)) => {
                self.log.commit(Vec::new(), vec![self.delivery.next_look(id, looks + 1, now)]).await?;
                self.metrics.delivery("seen");
            }
            Ok((false, seen)) => {
                tracing::warn!(%id, image = %finished.image, "a signature was gone from its registry, and is put back");
                self.metrics.delivery("missing");
                let missing = AttachResult::Missing { reference: finished.reference() };
                let entry = delivery.entry.followed_by(now, attach_event(&finished.signing, missing));
                let due = self.delivery.lease_from(now);
                let change = DeliveryChange::Postpone { id, stage: Stage::Attach, attempts: 0, due };
                self.log.commit(vec![entry], vec![change]).await?;
                self.attach_later(delivery, finished, Some(seen)).await?;
            }
            Err(error) => {
                let attempts = delivery.attempts.saturating_add(1);
                let change = self.delivery.next_attempt(finished, delivery.stage, attempts, &error, now);
                tracing::warn!(%error, %id, image = %finished.image, attempts, "a signature could not be looked at again");
                self.log.commit(Vec::new(), vec![change]).await?;
            }
        }
        Ok(())
    }
}

fn attached_result(attachment: &Attachment) -> AttachResult {
    AttachResult::Attached { reference: attachment.reference.clone(), manifest: attachment.manifest }
}

fn attach_event(signing: &Signing, result: AttachResult) -> Event {
    Event::Attach { signing: signing.clone(), result }
}

fn later(time: Timestamp, pause: Duration) -> Timestamp {
    time.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        let pauses: Vec<_> = (1..=10).map(|n| DeliverySettings::pause_after(n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(DeliverySettings::pause_after(u32::MAX).as_secs(), 300);
    }
}
