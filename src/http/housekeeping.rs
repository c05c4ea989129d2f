//! What is kept for a while, and is forgotten then.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::idempotency;
use crate::domain::{Clock, Timestamp};
use crate::ports::{Idempotency, LogError, Quotas, Sessions};

/// Between two times of forgetting.
const PAUSE: Duration = Duration::from_secs(15 * 60);

/// How long uses are kept that count no more: clocks differ.
const SPENT: Duration = Duration::from_secs(60 * 60);

/// Forgets answers that are older than a day, uses of budgets that count no more, and sessions that are over or were not used
/// for `idle`, now and again until `stopped`.
pub async fn forget_what_is_old(
    answers: Arc<dyn Idempotency>,
    quotas: Arc<dyn Quotas>,
    sessions: Arc<dyn Sessions>,
    idle: Duration,
    clock: Arc<dyn Clock>,
    stopped: CancellationToken,
) {
    let forgetting = async {
        loop {
            let before = |age| clock.now().checked_sub(age).unwrap_or(Timestamp::MIN);
            told("old answers", answers.forget(before(idempotency::KEPT)).await);
            told("uses of budgets", quotas.forget_uses(before(SPENT)).await);
            told("sessions", sessions.forget_sessions(clock.now(), before(idle)).await);
            tokio::time::sleep(PAUSE).await;
        }
    };
    stopped.run_until_cancelled(forgetting).await;
}

fn told(what: &str, forgotten: Result<u64, LogError>) {
    match forgotten {
        Ok(0) => {}
        Ok(count) => tracing::debug!(what, count, "forgotten"),
        Err(error) => tracing::warn!(what, %error, "they could not be forgotten"),
    }
}
