//! How much is worked on at once, and that what has begun is finished.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::problem::Problem;
use super::turns::{Turn, Turns, What};
use crate::config::LimitsConfig;
use crate::domain::Principal;
use crate::metrics::Metrics;

/// Lets `in_flight` operations run and `queue` wait, and sheds the rest. Large bodies share `bytes_in_flight` besides. Both
/// are shared between principals, as the module `turns` says.
///
/// An operation that has begun runs to its end, also when its caller hangs up or runs out of
/// patience: between signing and attaching is no place to stop. [`Admission::drained`] waits for all of them.
#[derive(Clone)]
pub struct Admission {
    turns: Turns,
    timeout: Duration,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
}

/// Room for a body, until it is dropped.
pub type Share = Turn;

impl Admission {
    pub fn new(limits: &LimitsConfig, metrics: Arc<Metrics>) -> Self {
        let kibibytes = limits.bytes_in_flight.div_ceil(1024);
        Self {
            turns: Turns::new(
                limits.in_flight,
                limits.in_flight_per_principal,
                kibibytes,
                limits.queue,
                metrics.clone(),
            ),
            timeout: limits.request_timeout,
            tasks: TaskTracker::new(),
            metrics,
        }
    }

    /// Runs `operation` when the turn of `principal` has come.
    ///
    /// # Errors
    /// `overloaded` where the queue is full, or others have a better right to its places; `timeout` where waiting and running
    /// take longer than the caller is kept; then the operation, once begun, goes on without its caller.
    pub async fn run<T: Send + 'static>(
        &self,
        principal: &Principal,
        operation: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let principal = principal.to_string();
        let answer = async {
            let turn = self.turns.get(What::Slots, 1, &principal).await;
            let turn = turn.map_err(|_| Problem::overloaded())?;
            let metrics = self.metrics.clone();
            let task = async move {
                metrics.in_flight.inc();
                let _leaving = Leaving(metrics);
                let answer = operation.await;
                drop(turn);
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
    /// `overloaded` where the queue is full, or others have a better right to its places, and where waiting takes longer than
    /// callers hold out.
    pub async fn share(&self, principal: &Principal, bytes: usize) -> Result<Share, Problem> {
        let principal = principal.to_string();
        let turn = self.turns.get(What::Bytes, bytes.div_ceil(1024), &principal);
        match tokio::time::timeout(self.timeout.min(PATIENCE), turn).await {
            Ok(Ok(share)) => Ok(share),
            _ => Err(Problem::overloaded()),
        }
    }

    /// Waits until every operation that has begun has ended. No more are let in afterwards by anybody who has stopped asking.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// How long a caller waits whose body is not read: many systems and HTTP clients hang up where what they send is not
/// taken for 30 s.
const PATIENCE: Duration = Duration::from_secs(20);

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

    fn ci() -> Principal {
        Principal::Token { name: "ci".to_owned() }
    }

    fn admission(in_flight: usize, queue: usize) -> Admission {
        let limits = LimitsConfig { in_flight, queue, ..LimitsConfig::default() };
        Admission::new(&limits, Arc::new(Metrics::new()))
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_shed_and_the_queue_moves_on() {
        let ci = ci();
        let admission = admission(1, 1);
        let (release, released) = oneshot::channel::<()>();
        let mut first = std::pin::pin!(admission.run(&ci, async move { released.await.is_ok() }));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = std::pin::pin!(admission.run(&ci, async { 2 }));
        assert!(futures::poll!(&mut second).is_pending());
        let third = admission.run(&ci, async { 3 }).await.unwrap_err();
        assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);

        release.send(()).unwrap();
        assert!(first.await.unwrap());
        assert_eq!(second.await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_the_bytes_and_one_that_is_too_large_for_all_waits_until_it_is_alone() {
        let ci = ci();
        let limits = LimitsConfig { bytes_in_flight: 10 * 1024, queue: 1, ..LimitsConfig::default() };
        let admission = Admission::new(&limits, Arc::new(Metrics::new()));
        let first = admission.share(&ci, 9 * 1024).await.unwrap();
        let small = admission.share(&ci, 1024).await.unwrap();
        let mut large = std::pin::pin!(admission.share(&ci, 100 * 1024 * 1024));
        assert!(futures::poll!(&mut large).is_pending());
        assert_eq!(admission.share(&ci, 1).await.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert!(futures::poll!(&mut large).is_pending());
        drop(small);
        let large = large.await.unwrap();
        // Nobody is kept longer than a request may take.
        assert_eq!(admission.share(&ci, 1).await.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(large);
        assert!(admission.share(&ci, 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_is_finished_without_its_caller() {
        let ci = ci();
        let admission = admission(1, 1);
        let (release, released) = oneshot::channel::<()>();
        let (finish, finished) = oneshot::channel();
        let operation = async move {
            let _ = released.await;
            let _ = finish.send("finished");
        };
        let late = admission.run(&ci, operation).await.unwrap_err();
        assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
        release.send(()).unwrap();
        assert_eq!(finished.await, Ok("finished"));
        admission.drained().await;
    }
}
