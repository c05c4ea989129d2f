//! What the service tells of itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::GroupCommitLog;
use crate::config::ConfigDigest;
use crate::domain::{Clock, Entry, Event};
use crate::ports::{Chronicle, LogError, Mark, Marks as _, SharedLocks, SigningLog as _};

/// Writes what it is told in that order, each durably before the next; while the log can not be written, it tries again.
pub struct LogChronicle {
    told: mpsc::Sender<Told>,
    clock: Arc<dyn Clock>,
    instance: String,
    writer: Mutex<Option<JoinHandle<()>>>,
}

enum Told {
    Event(Entry),
    Configuration(Entry, ConfigDigest),
    /// Nothing more is told.
    End,
}

/// Things told that may wait. A policy that changes every second and a log that is away for minutes make no more.
const WAITING: usize = 512;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the end waits for a log that can not be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// The mark of the configuration that was logged last.
const CONFIGURATION: &str = "configuration";

impl LogChronicle {
    /// Ready to be told something. It ends with [`LogChronicle::end`].
    pub fn open(log: Arc<GroupCommitLog>, locks: Arc<dyn SharedLocks>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (told, waiting) = mpsc::channel(WAITING);
        let writer = tokio::spawn(Writer { log, locks, waiting }.run());
        let instance = Uuid::new_v4().to_string();
        Arc::new(Self { told, clock, instance, writer: Mutex::new(Some(writer)) })
    }

    /// Tells that the service begins, and with which configuration where that is another than was logged last.
    pub fn start(&self, configuration: ConfigDigest) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.tell(Event::Start { version, instance: self.instance.clone() });
        let event = Event::Configuration {
            digest: configuration.whole(),
            previous: None,
            changed: Vec::new(),
            instance: Some(self.instance.clone()),
        };
        self.send(Told::Configuration(Entry::of_service(self.clock.now(), event), configuration));
    }

    /// Tells that the service ends, and waits until everything is written that can be.
    pub async fn end(&self) {
        self.tell(Event::Stop { instance: self.instance.clone() });
        self.send(Told::End);
        let Some(mut writer) = self.writer.lock().await.take() else { return };
        if tokio::time::timeout(PATIENCE, &mut writer).await.is_err() {
            writer.abort();
            tracing::error!("the end of the service was not logged");
        }
    }

    fn send(&self, told: Told) {
        if self.told.try_send(told).is_err() {
            tracing::error!(
                "the log could not be written for long: something that the service has to tell of itself is not in it"
            );
        }
    }
}

impl Chronicle for LogChronicle {
    fn tell(&self, event: Event) {
        self.send(Told::Event(Entry::of_service(self.clock.now(), event)));
    }

    fn instance(&self) -> &str {
        &self.instance
    }
}

struct Writer {
    log: Arc<GroupCommitLog>,
    locks: Arc<dyn SharedLocks>,
    waiting: mpsc::Receiver<Told>,
}

impl Writer {
    async fn run(mut self) {
        while let Some(told) = self.waiting.recv().await {
            if matches!(told, Told::End) {
                return;
            }
            let mut complained = false;
            loop {
                match self.write(&told).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) if !std::mem::replace(&mut complained, true) => {
                        tracing::warn!(%error, "what the service tells of itself can not be logged now");
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Whether it is written.
    async fn write(&self, told: &Told) -> Result<bool, LogError> {
        match told {
            Told::Event(entry) => self.log.append(vec![entry.clone()]).await.map(|_| true),
            Told::Configuration(entry, digest) => configuration(&self.log, &*self.locks, entry, digest).await,
            Told::End => Ok(true),
        }
    }
}

/// Logs the configuration, unless it is the one that was logged last. False where another replica is just doing that.
async fn configuration(
    log: &GroupCommitLog,
    locks: &dyn SharedLocks,
    entry: &Entry,
    digest: &ConfigDigest,
) -> Result<bool, LogError> {
    let Some(_lock) = locks.lock_work(CONFIGURATION).await? else { return Ok(false) };
    let before = log.mark(CONFIGURATION).await?.and_then(|text| text.parse::<ConfigDigest>().ok());
    if before.as_ref() == Some(digest) {
        return Ok(true);
    }
    let mut entry = entry.clone();
    if let Event::Configuration { previous, changed, .. } = &mut entry.event
        && let Some(before) = before
    {
        *previous = Some(before.whole());
        *changed = digest.changed_since(&before);
    }
    log.set_mark(Mark { name: CONFIGURATION.to_owned(), value: digest.to_string() }, vec![entry]).await?;
    Ok(true)
}
