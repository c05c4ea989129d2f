//! Who empties the outbox, as long as the service runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{ImageReference, SignatureId, Subject, Timestamp};
use crate::ports::LogError;

use super::{Service, ServiceError};

/// Deliveries that are taken at once.
const ROUND: usize = 64;

/// Images that are worked on at once: few, since requests need the registry too.
const AT_ONCE: usize = 4;

/// Between two looks into an outbox in which nothing was due.
const PAUSE: Duration = Duration::from_millis(500);

/// Between two counts of what waits, which are for the metrics alone.
const COUNTING: Duration = Duration::from_secs(5);

impl Service {
    /// Works on whatever is due, until `stopped`; what has been begun then is brought to its end.
    pub async fn deliver_until(self: Arc<Self>, stopped: CancellationToken) {
        let mut failing = false;
        let mut counted: Option<Instant> = None;
        while !stopped.is_cancelled() {
            if counted.is_none_or(|counted| counted.elapsed() >= COUNTING)
                && let Ok(waiting) = self.outbox.waiting().await
            {
                self.metrics.outbox(waiting.attach, waiting.look_again);
                counted = Some(Instant::now());
            }
            let round = self.deliver_round().await;
            match &round {
                Ok(_) => failing = false,
                Err(error) if !failing => {
                    tracing::warn!(%error, "the outbox can not be read; trying again until it can");
                    failing = true;
                }
                Err(_) => {}
            }
            if matches!(round, Ok(ROUND..)) {
                continue;
            }
            tokio::select! {
                () = stopped.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Takes what is due and does it; how much that was.
    async fn deliver_round(&self) -> Result<usize, LogError> {
        let now = self.clock.now();
        let until = self.delivery.lease_from(now);
        let due = self.outbox.take_due(now, until, ROUND).await?;
        let count = due.len();
        let mut images = BTreeMap::<ImageReference, Vec<SignatureId>>::new();
        for delivery in due {
            match (delivery.entry.signing(), delivery.entry.subject.as_ref().and_then(Subject::image)) {
                (Some(signing), Some(image)) => images.entry(image).or_default().push(signing.id),
                // Nothing in this program puts one there.
                _ => tracing::error!(
                    kind = delivery.entry.kind(),
                    "the outbox holds what is no signature of an image"
                ),
            }
        }
        stream::iter(images)
            .for_each_concurrent(AT_ONCE, |(image, ids)| async move {
                if let Err(error) = self.deliver_image(&image, &ids, until).await {
                    // It is due again when its lease ends.
                    tracing::warn!(%error, %image, "the outbox could not go on with an image");
                }
            })
            .await;
        Ok(count)
    }

    async fn deliver_image(
        &self,
        image: &ImageReference,
        ids: &[SignatureId],
        until: Timestamp,
    ) -> Result<(), ServiceError> {
        let _turn = self.turn(image).await?;
        for id in ids {
            // Read when its turn has come: documents are large, and whoever had the turn before may have worked on it.
            // Then it is due at another time than we put it off to.
            let delivery = self.outbox.delivery(*id).await?;
            let ours = |due: Timestamp| due.as_microsecond() == until.as_microsecond();
            if let Some(delivery) = delivery.filter(|delivery| ours(delivery.due)) {
                self.deliver(delivery).await?;
            }
        }
        Ok(())
    }
}
