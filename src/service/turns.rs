//! Whose turn it is to work on an image: one in this process, and one among all replicas.

use tokio::sync::OwnedMutexGuard;

use crate::domain::ImageReference;
use crate::ports::SharedLock;

use super::{Service, ServiceError};

/// The turn on an image. Dropping it lets the next one in.
pub struct Turn {
    // In this order: the other replicas before those who wait here.
    _shared: SharedLock,
    _local: OwnedMutexGuard<()>,
}

impl Service {
    /// Waits until nobody else works on the image, here or in another replica.
    pub(super) async fn turn(&self, image: &ImageReference) -> Result<Turn, ServiceError> {
        let local = self.locks.lock(image).await;
        let shared = self.shared_locks.lock(image).await?;
        Ok(Turn { _shared: shared, _local: local })
    }

    /// The turns on all of `images`. Everybody takes them in the same order, so that no two wait for each other.
    pub(super) async fn turns(
        &self,
        images: impl IntoIterator<Item = &ImageReference>,
    ) -> Result<Vec<Turn>, ServiceError> {
        let mut images: Vec<_> = images.into_iter().collect();
        images.sort_unstable();
        images.dedup();
        let mut turns = Vec::with_capacity(images.len());
        for image in images {
            turns.push(self.turn(image).await?);
        }
        Ok(turns)
    }
}
