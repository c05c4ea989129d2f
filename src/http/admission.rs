//! How much is worked on at once, and that what has begun is finished.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::problem::Problem;
use crate::config::LimitsConfig;
use crate::metrics::Metrics;

/// Lets `in_flight` operations run and `queue` wait, and sheds the rest. Large bodies share `bytes_in_flight` besides.
///
/// An operation that has begun runs to its end, also when its caller hangs up or runs out of
/// patience: between signing and attaching is no place to stop. [`Admission::drained`] waits for all of them.
#[derive(Clone)]
pub struct Admission {
    slots: Arc<Semaphore>,
    /// A permit for each KiB.
    bytes: Arc<Semaphore>,
    kibibytes: usize,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    timeout: Duration,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
}

impl Admission {
    pub fn new(limits: &LimitsConfig, metrics: Arc<Metrics>) -> Self {
        let kibibytes = limits.bytes_in_flight.div_ceil(1024).min(Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(limits.in_flight)),
            bytes: Arc::new(Semaphore::new(kibibytes)),
            kibibytes,
            waiting: Arc::new(AtomicUsize::new(0)),
            queue: limits.queue,
            timeout: limits.request_timeout,
            tasks: TaskTracker::new(),
            metrics,
        }
    }

    /// Runs `operation` when its turn has come.
    ///
    /// # Errors
    /// `overloaded` at once where the queue is full; `timeout` where waiting and running take longer than the caller is
    /// kept; then the operation, once begun, goes on without its caller.
    pub async fn run<T: Send + 'static>(
        &self,
        operation: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let answer = async {
            let slot = self.slot().await?;
            let metrics = self.metrics.clone();
            let task = async move {
                metrics.in_flight.inc();
                let _leaving = Leaving(metrics);
                let answer = operation.await;
                drop(slot);
                answer
            };
            self.tasks.spawn(task.in_current_span()).await.map_err(|error| {
                tracing::error!(%error, "an operation ended early");
                Problem::internal()
            })
        };
        tokio::time::timeout(self.timeout, answer).await.map_err(|_| Problem::timeout(self.timeout))?
    }

    /// Waits until there is room for a body of `bytes`. What is larger than all the room there is takes all of it.
    ///
    /// # Errors
    /// `overloaded` at once where the queue is full, and where waiting takes longer than the caller is kept.
    pub async fn share(&self, bytes: usize) -> Result<Share, Problem> {
        let kibibytes = u32::try_from(bytes.div_ceil(1024).min(self.kibibytes)).unwrap_or(u32::MAX);
        if let Ok(permit) = self.bytes.clone().try_acquire_many_owned(kibibytes) {
            return Ok(Share { _permit: permit });
        }
        let _waiting = Waiting::enter(self).ok_or_else(Problem::overloaded)?;
        match tokio::time::timeout(self.timeout, self.bytes.clone().acquire_many_owned(kibibytes)).await {
            Ok(Ok(permit)) => Ok(Share { _permit: permit }),
            _ => Err(Problem::overloaded()),
        }
    }

    /// Waits until every operation that has begun has ended. No more are let in afterwards by anybody who has stopped asking.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = Waiting::enter(self).ok_or_else(Problem::overloaded)?;
        self.slots.clone().acquire_owned().await.map_err(|_| Problem::overloaded())
    }
}

/// Room for a body, until it is dropped.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
}

/// A place in the queue; given back however the waiting ends.
struct Waiting<'a>(&'a Admission);

impl<'a> Waiting<'a> {
    fn enter(admission: &'a Admission) -> Option<Self> {
        let places = |waiting: usize| (waiting < admission.queue).then_some(waiting + 1);
        admission.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, places).ok()?;
        admission.metrics.waiting.inc();
        Some(Self(admission))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.waiting.dec();
    }
}

struct Leaving(Arc<Metrics>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use tokio::sync::oneshot;

    use super::*;

    fn admission(in_flight: usize, queue: usize) -> Admission {
        let limits = LimitsConfig { in_flight, queue, ..LimitsConfig::default() };
        Admission::new(&limits, Arc::new(Metrics::new()))
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_shed_and_the_queue_moves_on() {
        let admission = admission(1, 1);
        let (release, released) = oneshot::channel::<()>();
        let mut first = std::pin::pin!(admission.run(async move { released.await.is_ok() }));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = std::pin::pin!(admission.run(async { 2 }));
        assert!(futures::poll!(&mut second).is_pending());
        let third = admission.run(async { 3 }).await.unwrap_err();
        assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);

        release.send(()).unwrap();
        assert!(first.await.unwrap());
        assert_eq!(second.await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_the_bytes_and_one_that_is_too_large_for_all_waits_until_it_is_alone() {
        let limits = LimitsConfig { bytes_in_flight: 10 * 1024, queue: 1, ..LimitsConfig::default() };
        let admission = Admission::new(&limits, Arc::new(Metrics::new()));
        let first = admission.share(9 * 1024).await.unwrap();
        let small = admission.share(1024).await.unwrap();
        let mut large = std::pin::pin!(admission.share(100 * 1024 * 1024));
        assert!(futures::poll!(&mut large).is_pending());
        assert_eq!(admission.share(1).await.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert!(futures::poll!(&mut large).is_pending());
        drop(small);
        let large = large.await.unwrap();
        // Nobody is kept longer than a request may take.
        assert_eq!(admission.share(1).await.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(large);
        assert!(admission.share(1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_is_finished_without_its_caller() {
        let admission = admission(1, 1);
        let (release, released) = oneshot::channel::<()>();
        let (finish, finished) = oneshot::channel();
        let operation = async move {
            let _ = released.await;
            let _ = finish.send("finished");
        };
        let late = admission.run(operation).await.unwrap_err();
        assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
        release.send(()).unwrap();
        assert_eq!(finished.await, Ok("finished"));
        admission.drained().await;
    }
}
