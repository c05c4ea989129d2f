use async_trait::async_trait;

use super::LogError;
use crate::domain::ImageReference;

/// Locks that hold between replicas. What is held is given back when the guard is dropped, and when
/// its holder's process ends.
#[async_trait]
pub trait SharedLocks: Send + Sync {
    /// Waits until no other replica holds the image. Inside this process the caller is the only one who asks
    /// for this image.
    ///
    /// # Errors
    /// Where the store can not be asked, or another replica does not give the image back in good time.
    async fn lock(&self, image: &ImageReference) -> Result<SharedLock, LogError>;

    /// The lock of a work that one replica does at a time; none where another holds it. Never waits for that one.
    /// Whoever holds it for long gives it back now and then and asks again, because it may have been lost unnoticed.
    ///
    /// # Errors
    /// Where the store can not be asked.
    async fn lock_work(&self, work: &str) -> Result<Option<SharedLock>, LogError>;
}

/// A lock that is held; dropping it gives it back.
pub type SharedLock = Box<dyn Send + Sync>;

/// The locks of a service that is the only one: nobody else has to be kept out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl SharedLocks for Alone {
    async fn lock(&self, _: &ImageReference) -> Result<SharedLock, LogError> {
        Ok(Box::new(()))
    }

    async fn lock_work(&self, _: &str) -> Result<Option<SharedLock>, LogError> {
        Ok(Some(Box::new(())))
    }
}
