//! One writer per image inside this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::domain::ImageReference;

type Turn = tokio::sync::Mutex<()>;

/// A lock for each image that is being worked on, and nothing for the others.
#[derive(Debug, Default)]
pub struct ImageLocks(Mutex<HashMap<ImageReference, Weak<Turn>>>);

impl ImageLocks {
    /// Waits until nobody else holds the image. Waiting is fair: first come, first served.
    pub async fn lock(&self, image: &ImageReference) -> OwnedMutexGuard<()> {
        let turn = self.turn(image);
        turn.lock_owned().await
    }

    fn turn(&self, image: &ImageReference) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(image).and_then(Weak::upgrade) {
            return turn;
        }
        // Swept when the map has doubled, so that the price of forgetting is spread over the inserts.
        if turns.len() == turns.capacity() {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(Turn::default());
        turns.insert(image.clone(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    fn image(content: &[u8]) -> ImageReference {
        format!("localhost:5000/app@{}", Digest::of(content)).parse().unwrap()
    }

    #[tokio::test]
    async fn the_same_image_waits_and_another_does_not() {
        let locks = ImageLocks::default();
        let first = locks.lock(&image(b"one")).await;
        let _other = locks.lock(&image(b"two")).await;
        let same = image(b"one");
        let mut second = std::pin::pin!(locks.lock(&same));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures::poll!(&mut second).is_ready());
    }

    #[tokio::test]
    async fn images_that_nobody_works_on_are_forgotten() {
        let locks = ImageLocks::default();
        for n in 0..10_000_u32 {
            drop(locks.lock(&image(&n.to_be_bytes())).await);
        }
        assert!(locks.0.lock().unwrap().len() < 100);
    }
}
