//! An issuer's keys, kept fresh.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::fetch::{Found, Source};
use super::jwks::KeySet;
use crate::config::{IssuerConfig, TokenAlgorithm};
use crate::domain::Digest;
use crate::metrics::Metrics;

/// The keys of one issuer. One task fetches them, so that however many ask, one fetch is under way; what is known stays
/// in use until there is something better.
pub(super) struct Keeper {
    /// The issuer's name.
    name: String,
    source: Source,
    algorithms: Vec<TokenAlgorithm>,
    /// The longest time between two fetches.
    refresh: Duration,
    keys: ArcSwap<KeySet>,
    demand: Mutex<Demand>,
    wanted: Notify,
    /// Counts the fetches that have ended.
    ended: watch::Sender<u64>,
    /// Who may wait for a fetch.
    waiting: Semaphore,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Demand {
    /// Somebody wants a fetch, or one is under way.
    open: bool,
    /// When a token's key was last asked for.
    last: Option<Instant>,
}

impl Keeper {
    /// An unknown key is asked for at most once in this time, so that nobody can have us flood an issuer.
    const PAUSE: Duration = Duration::from_secs(60);

    /// What a caller waits for a fetch, at most.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Callers that wait for a fetch at once. Others are told no.
    const MAX_WAITING: usize = 256;

    /// Between two looks at a file.
    const FILE_POLL: Duration = Duration::from_secs(2);

    /// Between two fetches, whatever the issuer says of how long its keys are fresh.
    const LEAST: Duration = Duration::from_secs(60);

    /// After a fetch that failed; twice as long after the next, and so on until [`Keeper::LEAST`].
    const FIRST_RETRY: Duration = Duration::from_secs(2);

    /// Fetches in the background until `stopped` is cancelled. Nobody waits for the first fetch.
    ///
    /// # Errors
    /// Where the file of authorities can not be used.
    pub(super) fn start(
        config: &IssuerConfig,
        metrics: Arc<Metrics>,
        stopped: CancellationToken,
    ) -> Result<Arc<Self>, String> {
        let keeper = Arc::new(Self {
            name: config.name.clone(),
            source: Source::new(config)?,
            algorithms: config.algorithms.clone(),
            refresh: config.refresh,
            keys: ArcSwap::from_pointee(KeySet::empty()),
            // The first fetch.
            demand: Mutex::new(Demand { open: true, last: None }),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            waiting: Semaphore::new(Self::MAX_WAITING),
            metrics,
        });
        let kept = keeper.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(kept.keep()).await });
        Ok(keeper)
    }

    pub(super) fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// Looks for newer keys, if that is allowed now, and waits until that has ended, though not for long.
    pub(super) async fn look_again(&self) {
        let mut ended = self.ended.subscribe();
        {
            let mut demand = self.demand.lock().unwrap_or_else(PoisonError::into_inner);
            if !demand.open {
                let pause = if self.source.is_file() { Self::FILE_POLL } else { Self::PAUSE };
                if demand.last.is_some_and(|last| last.elapsed() < pause) {
                    return;
                }
                *demand = Demand { open: true, last: Some(Instant::now()) };
                self.wanted.notify_one();
            }
        }
        let Ok(_place) = self.waiting.try_acquire() else { return };
        // Both endings mean the same: whoever waits looks at the keys that there are.
        let _ = timeout(Self::PATIENCE, ended.changed()).await;
    }

    async fn keep(&self) {
        let (mut failures, mut complaint) = (0, None);
        loop {
            let pause = match self.refresh().await {
                Ok(fresh_for) => {
                    if complaint.take().is_some() {
                        tracing::info!(issuer = self.name, "its keys can be had again");
                    }
                    failures = 0;
                    fresh_for
                }
                Err(reason) => {
                    self.metrics.key_set_refresh(&self.name, "failed");
                    // Said once: the metric says how often.
                    if complaint.as_ref() != Some(&reason) {
                        let keys = self.keys().len();
                        tracing::warn!(
                            issuer = self.name,
                            reason,
                            keys,
                            "no new keys; those that are known stay in use"
                        );
                        complaint = Some(reason);
                    }
                    failures += 1;
                    self.retry_after(failures)
                }
            };
            self.demand.lock().unwrap_or_else(PoisonError::into_inner).open = false;
            self.ended.send_modify(|ended| *ended += 1);
            tokio::select! {
                () = sleep(pause) => {
                    self.demand.lock().unwrap_or_else(PoisonError::into_inner).open = true;
                }
                () = self.wanted.notified() => {}
            }
        }
    }

    fn retry_after(&self, failures: u32) -> Duration {
        let pause = Self::FIRST_RETRY.saturating_mul(1 << failures.min(8).saturating_sub(1)).min(Self::LEAST);
        if self.source.is_file() { Self::FILE_POLL } else { pause.min(self.refresh) }
    }

    /// Fetches once, and says for how long that is good.
    ///
    /// # Errors
    /// Why everything stays as it was.
    async fn refresh(&self) -> Result<Duration, String> {
        let found = self.source.keys().await.map_err(|error| error.to_string())?;
        let fresh_for = self.fresh_for(&found);
        if self.keys().digest == Some(Digest::of(&found.bytes)) {
            self.metrics.key_set_refresh(&self.name, "same");
            return Ok(fresh_for);
        }
        let keys = KeySet::parse(&found.bytes, &self.algorithms).map_err(|error| error.to_string())?;
        tracing::info!(issuer = self.name, keys = keys.len(), skipped = keys.skipped, "new keys");
        self.keys.store(Arc::new(keys));
        self.metrics.key_set_refresh(&self.name, "new");
        Ok(fresh_for)
    }

    fn fresh_for(&self, found: &Found) -> Duration {
        if self.source.is_file() {
            return Self::FILE_POLL;
        }
        found.fresh_for.map_or(self.refresh, |age| age.max(Self::LEAST)).min(self.refresh)
    }
}
