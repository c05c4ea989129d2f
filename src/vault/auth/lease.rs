//! How long a token lives, and when to do something about it.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Clock;
use crate::metrics::Metrics;

/// How long a token lives from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vault) struct Lease {
    /// None: for ever.
    pub(super) left: Option<Duration>,
    /// What it had when it was made or last renewed.
    pub(super) whole: Option<Duration>,
    pub(super) renewable: bool,
}

impl Lease {
    /// In Vault's seconds, where 0 is no limit.
    pub(super) fn new(left: u64, whole: u64, renewable: bool) -> Self {
        let limit = |seconds| Some(Duration::from_secs(seconds)).filter(|limit| !limit.is_zero());
        Self { left: limit(left), whole: limit(whole).or(limit(left)), renewable }
    }

    /// When to renew, or to log in anew: at two thirds of what is left, and up to a tenth of it earlier, so that
    /// many who began together do not come together. None for a token that lives for ever.
    pub(super) fn half_time(&self, random: fn() -> f64) -> Option<Duration> {
        self.left.map(|left| left.mul_f64(2.0 / 3.0 - random() / 10.0))
    }

    /// Whether so little is left that whoever renews it is late.
    pub(super) fn is_ending(&self) -> bool {
        matches!((self.left, self.whole), (Some(left), Some(whole)) if left < whole / 4)
    }
}

/// Shows in the metrics when the token expires.
#[derive(Clone)]
pub(in crate::vault) struct Expiry {
    pub(in crate::vault) metrics: Arc<Metrics>,
    pub(in crate::vault) clock: Arc<dyn Clock>,
}

impl Expiry {
    pub(super) fn show(&self, lease: Lease) {
        let left = lease.left.map(|left| i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
        let at = left.map(|left| self.clock.now().as_second().saturating_add(left));
        self.metrics.vault_token_expires(at);
    }

    /// There is no token.
    pub(super) fn hide(&self) {
        self.metrics.vault_token_expires(None);
    }
}
