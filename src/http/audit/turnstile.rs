//! How often somebody may log in: one who knows a single token must not be able to fill the sessions of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::domain::Principal;
use crate::http::problem::Problem;

/// Counts log-ins of each principal, in this process. An hour begins with the first of them.
#[derive(Debug)]
pub struct Turnstile {
    counts: Cache<String, Arc<AtomicU32>>,
}

impl Turnstile {
    /// Log-ins of one principal within an hour: more than people need, and with the longest of sessions still few of
    /// [`crate::ports::Session::MAX`].
    pub const AN_HOUR: u32 = 60;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// Principals that are counted at a time. Beyond them, those who log in least are forgotten.
    const PRINCIPALS: u64 = 100_000;

    /// Counts one more, which has proven to be `principal`.
    ///
    /// # Errors
    /// 429, where there were [`Turnstile::AN_HOUR`] already.
    pub fn pass(&self, principal: &Principal) -> Result<(), Problem> {
        let count = self.counts.get_with(principal.to_string(), Arc::default);
        let passes = |count: u32| (count < Self::AN_HOUR).then_some(count + 1);
        let passed = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, passes);
        passed.map(drop).map_err(|_| Problem::too_many_logins(Self::HOUR))
    }
}

impl Default for Turnstile {
    fn default() -> Self {
        let counts = Cache::builder().max_capacity(Self::PRINCIPALS).time_to_live(Self::HOUR);
        Self { counts: counts.build() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_who_logs_in_again_and_again_has_to_wait_and_nobody_else() {
        let turnstile = Turnstile::default();
        let token = |name: &str| Principal::Token { name: name.to_owned() };
        for _ in 0..Turnstile::AN_HOUR {
            turnstile.pass(&token("ci")).unwrap();
        }
        let problem = turnstile.pass(&token("ci")).unwrap_err();
        assert_eq!((problem.status().as_u16(), problem.code()), (429, "rate-limited"));
        assert_eq!(problem.retry_after_seconds(), Some(3600));
        turnstile.pass(&token("night")).unwrap();
    }
}
