//! Which failures are worth another attempt, and when.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::ports::RegistryError;

/// At most three attempts at something that may safely be done twice. Another one is made only
/// while less than the time for one call has passed since the first began, so that the attempts
/// together take less than two such times.
///
/// A timeout is final: whoever waited that long is not helped by waiting as long again.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    pauses: Pauses,
    budget: Duration,
    /// A number in `0.0..1.0`.
    random: fn() -> f64,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    /// Before the second and the third attempt, where the registry names no time itself.
    pub(super) backoff: [Duration; 2],
    /// Before looking again for what was written but is not shown yet.
    pub(super) lag: [Duration; 3],
}

/// The attempts that are left.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    retry: &'a Retry,
    began: Instant,
    backoff: std::array::IntoIter<Duration, 2>,
}

impl Pauses {
    pub(super) const DEFAULT: Self = Self {
        backoff: [Duration::from_millis(100), Duration::from_millis(300)],
        lag: [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(800)],
    };
}

impl Retry {
    /// The longest `Retry-After` that is waited for here. What is longer goes to the caller.
    const MAX_WAIT: Duration = Duration::from_secs(3);

    pub(super) const fn new(pauses: Pauses, budget: Duration, random: fn() -> f64) -> Self {
        Self { pauses, budget, random }
    }

    /// The first success of `attempt`, or its last error.
    pub(super) async fn run<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut attempts = self.attempts();
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// As [`Retry::run`], for attempts that differ from each other. The first begins now.
    pub(super) fn attempts(&self) -> Attempts<'_> {
        Attempts { retry: self, began: Instant::now(), backoff: self.pauses.backoff.into_iter() }
    }

    /// How long to wait, each time, before looking again for something that was written.
    pub(super) const fn lag(&self) -> [Duration; 3] {
        self.pauses.lag
    }

    fn wait(&self, error: &RegistryError, backoff: Duration) -> Option<Duration> {
        match error {
            RegistryError::Unavailable { retry_after: Some(asked), .. }
            | RegistryError::TooManyRequests { retry_after: Some(asked), .. } => {
                (*asked <= Self::MAX_WAIT).then_some(*asked)
            }
            RegistryError::Unavailable { retry_after: None, .. }
            | RegistryError::TooManyRequests { retry_after: None, .. } => {
                Some(backoff.mul_f64(0.75 + 0.5 * (self.random)()))
            }
            RegistryError::NotConfigured(_)
            | RegistryError::Denied { .. }
            | RegistryError::Timeout { .. }
            | RegistryError::ReferrersUnsupported { .. }
            | RegistryError::TagProtected { .. }
            | RegistryError::ManifestRefused { .. }
            | RegistryError::Occupied { .. }
            | RegistryError::TooLarge { .. }
            | RegistryError::Protocol { .. } => None,
        }
    }
}

impl Attempts<'_> {
    /// Waits before the next attempt, after one that ended with `error`.
    ///
    /// # Errors
    /// Returns `error` where no other attempt is to be made.
    pub(super) async fn pause(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let wait = self.backoff.next().and_then(|backoff| self.retry.wait(&error, backoff));
        match wait {
            Some(wait) if self.began.elapsed() + wait < self.retry.budget => {
                sleep(wait).await;
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// A `Retry-After` as a time from now: seconds, or a date, which is compared with the answer's
/// own `date` so that the two clocks need not agree. `None` where it can not be told.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>
pub(super) fn parse_retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(date?.trim()).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::registry::failure::Host;

    const RETRY: Retry = Retry::new(Pauses::DEFAULT, Duration::from_secs(15), || 0.5);

    /// Runs into `error` each time: how many attempts, and how long all took.
    async fn attempts(error: RegistryError) -> (u32, Duration) {
        let count = Cell::new(0);
        let began = Instant::now();
        let result: Result<(), _> = RETRY
            .run(|| {
                count.set(count.get() + 1);
                std::future::ready(Err(error.clone()))
            })
            .await;
        assert!(result.is_err());
        (count.get(), began.elapsed())
    }

    fn host() -> Host {
        Host::new("registry.example.com".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_three_times() {
        let millis = Duration::from_millis;
        assert_eq!(attempts(host().unavailable("reset")).await, (3, millis(400)));
        assert_eq!(attempts(host().too_many_requests(Some(millis(3000)))).await, (3, millis(6000)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_is_tried_once() {
        let long = Some(Duration::from_secs(4));
        for error in [
            host().too_many_requests(long),
            host().unavailable_for("status 503", long),
            host().timeout(Duration::from_secs(15)),
            host().denied("no"),
            host().protocol("no"),
        ] {
            assert_eq!(attempts(error.clone()).await, (1, Duration::ZERO), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_after_the_time_for_one_call() {
        let count = Cell::new(0);
        let result: Result<(), _> = RETRY
            .run(|| {
                count.set(count.get() + 1);
                async {
                    sleep(Duration::from_secs(10)).await;
                    Err(host().unavailable("slow, then reset"))
                }
            })
            .await;
        assert!(result.is_err());
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        for (value, date, seconds) in [
            ("2", None, Some(2)),
            (" 120 ", date, Some(120)),
            ("Wed, 21 Oct 2015 07:28:03 GMT", date, Some(3)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", date, Some(0)),
            ("Wed, 21 Oct 2015 07:28:03 GMT", None, None),
            ("soon", date, None),
            ("-1", date, None),
        ] {
            assert_eq!(parse_retry_after(value, date), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
