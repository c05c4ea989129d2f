//! The thread that keeps the search index behind the log, and close to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use crate::ports::{LogError, Projector, SearchProgress};

/// Wakes the thread. Cloned freely; it never blocks.
#[derive(Debug, Clone)]
pub(super) struct Bell {
    sender: SyncSender<()>,
    rebuild: Arc<AtomicBool>,
}

impl Bell {
    /// There may be something to do. Rung often, it is heard once.
    pub(super) fn ring(&self) {
        let _ = self.sender.try_send(());
    }

    /// The index is to be made again.
    pub(super) fn rebuild(&self) {
        self.rebuild.store(true, Ordering::Release);
        self.ring();
    }
}

/// The thread. It ends when nobody can ring any more.
pub(super) struct ProjectorThread(JoinHandle<()>);

/// A step costs the same for one entry as for some hundred: so they are made at most so often, unless much waits.
const PAUSE: Duration = Duration::from_millis(50);

/// The pause of a busy log, of whose entries many then share what a step has to write again.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// Entries of one step that make a log a busy one.
const BUSY: u64 = 250;

/// After a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Entries that are much.
const MUCH: u64 = 5_000;

impl ProjectorThread {
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start(
        projector: Box<dyn Projector>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Bell), LogError> {
        let (sender, rung) = sync_channel(1);
        let rebuild = Arc::new(AtomicBool::new(false));
        let bell = Bell { sender, rebuild: rebuild.clone() };
        bell.ring();
        let thread = std::thread::Builder::new()
            .name("log-projector".to_owned())
            .spawn(move || run(projector, &rung, &rebuild, &metrics))
            .map_err(|error| LogError(format!("no thread for the search index: {error}")))?;
        Ok((Self(thread), bell))
    }

    pub(super) fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread of the search index ended early");
        }
    }
}

fn run(mut projector: Box<dyn Projector>, rung: &Receiver<()>, rebuild: &AtomicBool, metrics: &Metrics) {
    let mut failing = false;
    loop {
        let heard = match projector.poll() {
            None => rung.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(poll) => rung.recv_timeout(poll),
        };
        if heard == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        loop {
            if rebuild.swap(false, Ordering::AcqRel) {
                projector.rebuild();
            }
            let begin = Instant::now();
            let (pause, more) = match projector.step() {
                Ok(step) => {
                    let SearchProgress { log_size, indexed } = step.progress;
                    metrics.search_index(log_size, indexed, step.added, begin.elapsed());
                    if std::mem::take(&mut failing) {
                        tracing::info!("the search index follows the log again");
                    }
                    let pause = match (step.added, projector.poll()) {
                        _ if step.more => Duration::ZERO,
                        (MUCH.., _) | (0, None) => Duration::ZERO,
                        (_, Some(poll)) => poll,
                        (BUSY.., None) => BUSY_PAUSE,
                        (_, None) => PAUSE,
                    };
                    (pause, step.more)
                }
                Err(error) => {
                    // Once for as long as it lasts.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "the search index does not follow the log");
                    }
                    (PAUSE_AFTER_FAILURE, true)
                }
            };
            match wait(rung, pause) {
                None => return,
                Some(rung) if rung || more => {}
                Some(_) => break,
            }
        }
    }
}

/// Waits so long, and says whether anybody has rung meanwhile; `None` where nobody can ring any more.
fn wait(rung: &Receiver<()>, pause: Duration) -> Option<bool> {
    let until = Instant::now() + pause;
    let mut heard = false;
    loop {
        match rung.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) if pause.is_zero() => return Some(true),
            Ok(()) => heard = true,
            Err(RecvTimeoutError::Timeout) => return Some(heard),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}
