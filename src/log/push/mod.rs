//! The log, sent to those who collect logs: `[[log.push]]`.

mod https;
mod syslog;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::https::Https;
use self::syslog::Syslog;
use super::GroupCommitLog;
use crate::config::{PushConfig, PushFormat, PushKind};
use crate::domain::Entry;
use crate::format::{cef, ndjson, ocsf};
use crate::metrics::Metrics;
use crate::ports::{LogError, LogRange as _, LoggedEntry, Mark, Marks as _, SharedLocks};

/// Sends one receiver the log: every entry at least once, in order, from where it has acknowledged the last one. Of replicas,
/// one does.
pub struct Push {
    name: String,
    format: PushFormat,
    batch: usize,
    sink: Box<dyn Sink>,
    log: Arc<GroupCommitLog>,
    locks: Arc<dyn SharedLocks>,
    metrics: Arc<Metrics>,
}

/// Who is sent batches.
#[async_trait]
trait Sink: Send + Sync {
    /// Sends `messages`, and returns when the receiver has taken all of them.
    ///
    /// # Errors
    /// Where nobody knows that it has. The same messages come again.
    async fn send(&self, messages: &[Message]) -> Result<(), Refused>;
}

/// One entry on its way.
struct Message {
    entry: Entry,
    /// In the receiver's format, without a newline.
    text: Vec<u8>,
}

/// A batch was not taken.
#[derive(Debug)]
struct Refused {
    /// For our log; says nothing of the messages.
    reason: String,
    /// Fewer may be taken.
    too_large: bool,
    /// The receiver wants to be left alone for so long.
    retry_after: Option<Duration>,
}

/// How far one term has come.
enum Term {
    /// Another replica sends.
    Elsewhere,
    /// There is nothing more to send.
    Idle,
    /// There may be more.
    More,
}

/// How long the lock is kept before it is asked for again: it may have been lost.
const TERM: Duration = Duration::from_secs(20);

/// Between two looks at whether there is something to send.
const PAUSE: Duration = Duration::from_millis(500);

/// After a failure, doubled each time.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Push {
    /// # Errors
    /// Where the files that the configuration names can not be used.
    pub fn new(
        config: &PushConfig,
        log: Arc<GroupCommitLog>,
        locks: Arc<dyn SharedLocks>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, LogError> {
        let sink: Result<Box<dyn Sink>, String> = match config.kind {
            PushKind::Syslog => Syslog::new(config).map(|sink| Box::new(sink) as _),
            PushKind::Https => Https::new(config).map(|sink| Box::new(sink) as _),
        };
        let sink = sink.map_err(|reason| LogError(format!("push `{}`: {reason}", config.name)))?;
        let (name, format, batch) = (config.name.clone(), config.format, config.batch);
        Ok(Self { name, format, batch, sink, log, locks, metrics })
    }

    /// The mark under which it is kept how far a receiver has come: the index of the entry that it is sent next.
    pub fn mark(name: &str) -> String {
        format!("push {name}")
    }

    /// Sends until `stopped`.
    pub async fn run_until(self, stopped: CancellationToken) {
        stopped.run_until_cancelled(self.run()).await;
    }

    async fn run(self) {
        let (mut batch, mut pause) = (self.batch, PAUSES.0);
        loop {
            let wait = match self.term(&mut batch).await {
                Ok(Term::More) => {
                    pause = PAUSES.0;
                    continue;
                }
                Ok(Term::Idle | Term::Elsewhere) => {
                    pause = PAUSES.0;
                    PAUSE
                }
                Err(refused) => {
                    self.metrics.pushed(&self.name, None);
                    let Refused { reason, retry_after, too_large } = refused;
                    tracing::warn!(
                        receiver = self.name,
                        reason,
                        "the log could not be sent and will be again"
                    );
                    if too_large && batch > 1 {
                        batch = batch.div_ceil(2);
                        continue;
                    }
                    let wait = retry_after.map_or(pause, |asked| asked.min(PAUSES.1));
                    pause = PAUSES.1.min(pause * 2);
                    wait.mul_f64(rand::random_range(0.75..1.25))
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends what there is, for a while.
    async fn term(&self, batch: &mut usize) -> Result<Term, Refused> {
        let Some(_lock) = self.locks.lock_work(&Self::mark(&self.name)).await? else {
            return Ok(Term::Elsewhere);
        };
        let began = Instant::now();
        let mark = self.log.mark(&Self::mark(&self.name)).await?;
        let mut next = mark.and_then(|next| next.parse::<u64>().ok()).unwrap_or(0);
        loop {
            let extent = self.log.extent().await?;
            self.metrics.push_lag(&self.name, extent.size.saturating_sub(next));
            if next < extent.first {
                // Archiving waits for receivers that are configured: this one is new.
                tracing::warn!(
                    receiver = self.name,
                    from = next,
                    to = extent.first,
                    "entries that are archived are not sent"
                );
                next = extent.first;
            }
            let entries = self.log.range(next, *batch).await?;
            let Some(last) = entries.last() else { return Ok(Term::Idle) };
            next = last.index + 1;
            let messages = entries.iter().map(|entry| self.message(entry)).collect::<Result<Vec<_>, _>>()?;
            self.sink.send(&messages).await?;
            let value = next.to_string();
            self.log.set_mark(Mark { name: Self::mark(&self.name), value }, Vec::new()).await?;
            self.metrics.pushed(&self.name, Some(messages.len()));
            *batch = self.batch.min(*batch * 2);
            if began.elapsed() >= TERM {
                return Ok(Term::More);
            }
        }
    }

    fn message(&self, logged: &LoggedEntry) -> Result<Message, LogError> {
        let (entry, LoggedEntry { index, bytes }) = (logged.entry()?, logged);
        let mut text = match self.format {
            PushFormat::Json => ndjson::entry(*index, bytes),
            PushFormat::Ocsf => ndjson::line(&ocsf::event(*index, &entry, bytes)),
            PushFormat::Cef => cef::line(*index, &entry).into_bytes(),
        };
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        Ok(Message { entry, text })
    }
}

impl Refused {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), too_large: false, retry_after: None }
    }
}

impl From<LogError> for Refused {
    fn from(error: LogError) -> Self {
        Self::new(error.to_string())
    }
}
