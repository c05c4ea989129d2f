//! How long a failure is not told.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fault::Fault;

/// Whether to try again: for [`Patience::LIMIT`] since anything has succeeded. So a server that is restarted goes
/// unnoticed, and one that stays away holds nobody up but the first.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failing_since: Mutex<Option<Instant>>,
}

impl Patience {
    const LIMIT: Duration = Duration::from_secs(2);

    /// The first and the longest pause between two attempts.
    const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

    pub(super) fn succeeded(&self) {
        *self.failing_since() = None;
    }

    /// Waits before attempt number `attempt`, counted from 1 for the second.
    ///
    /// # Errors
    /// With `fault`, where another attempt is of no use.
    pub(super) async fn pause(&self, fault: Fault, attempt: u32) -> Result<(), Fault> {
        if !fault.transient {
            return Err(fault);
        }
        let since = *self.failing_since().get_or_insert_with(Instant::now);
        if since.elapsed() >= Self::LIMIT {
            return Err(fault);
        }
        tracing::debug!(reason = fault.reason, "PostgreSQL is asked again");
        let pause = Self::PAUSES.0 * 2u32.saturating_pow(attempt.saturating_sub(1));
        tokio::time::sleep(pause.min(Self::PAUSES.1)).await;
        Ok(())
    }

    fn failing_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failing_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
