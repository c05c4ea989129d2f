//! How long to try, and how often.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The time that one command may take, from its beginning to its end, and what is waited in between.
#[derive(Debug)]
pub struct Patience {
    deadline: Instant,
    pauses: Pauses,
    /// A number in `0.0..1.0`.
    random: fn() -> f64,
    /// Tells people that something is tried again.
    tell: fn(&str),
}

/// How long to wait between two attempts, where the server names no time itself.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(15) }
    }
}

impl Patience {
    /// The time begins now.
    pub fn new(time: Duration, pauses: Pauses, random: fn() -> f64, tell: fn(&str)) -> Self {
        Self { deadline: Instant::now() + time, pauses, random, tell }
    }

    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits before the next attempt, after `attempts` that ended with `error`. False where the time does not
    /// allow another: then nothing is waited for.
    pub async fn wait(&self, attempts: u32, asked: Option<Duration>, error: &impl Display) -> bool {
        let pause = asked.unwrap_or_else(|| self.pause(attempts));
        if pause >= self.left() {
            return false;
        }
        (self.tell)(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
        sleep(pause).await;
        true
    }

    /// Twice as long each time, and a little more or less than others.
    fn pause(&self, attempts: u32) -> Duration {
        let doubled = self.pauses.first.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        doubled.min(self.pauses.longest).mul_f64(0.75 + 0.5 * (self.random)())
    }
}
