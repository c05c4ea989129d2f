use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{LogError, Parcel};
use crate::domain::{Entry, Timestamp};

/// An outcome on its way into the log.
#[derive(Debug, Clone)]
pub struct Minute {
    pub entry: Entry,
    /// What goes to a registry, and when the outbox takes that over.
    pub delivery: Option<(Parcel, Timestamp)>,
}

/// Who writes outcomes down.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Records `minutes` in their order, all or none; the index of the first. `place` is let go of as soon as others need not wait
    /// for that any more.
    ///
    /// # Errors
    /// Where none of them may be released.
    async fn record(&self, minutes: Vec<Minute>, place: BatchPlace) -> Result<u64, LogError>;
}

/// What a batch takes up until it is recorded. Dropped, it is free for others.
#[derive(Debug, Default)]
pub struct BatchPlace {
    _end: Option<oneshot::Sender<Infallible>>,
}

/// When the place of a batch is free.
#[derive(Debug)]
pub struct BatchEnd(oneshot::Receiver<Infallible>);

impl BatchEnd {
    pub async fn wait(self) {
        let Err(_) = self.0.await;
    }
}

/// One of those whose signatures came of one call. They are recorded together too: each comes with its minute when its
/// signature has been checked, and the last who comes, or goes away without one, has all recorded. So one commit and one wait serve
/// all, and nobody waits on a timer.
#[derive(Debug)]
pub struct BatchMember {
    batch: Arc<Mutex<Batch>>,
    is_expected: bool,
}

#[derive(Default)]
struct Batch {
    /// Members that neither came nor went away.
    expected: usize,
    waiting: Vec<(Minute, oneshot::Sender<Result<u64, LogError>>)>,
    recorder: Option<Arc<dyn Recorder>>,
    place: BatchPlace,
}

impl BatchMember {
    /// So many, who wait for each other, and when the last of them has been recorded, or has gone away.
    pub fn all(count: usize) -> (Vec<Self>, BatchEnd) {
        let (end, ended) = oneshot::channel();
        let batch = Arc::new(Mutex::new(Batch {
            expected: count,
            place: BatchPlace { _end: Some(end) },
            ..Batch::default()
        }));
        let members = (0..count).map(|_| Self { batch: Arc::clone(&batch), is_expected: true }).collect();
        (members, BatchEnd(ended))
    }

    /// One who waits for nobody.
    pub fn alone() -> Self {
        Self::all(1).0.pop().expect("invariant: there is one")
    }

    /// Has `minute` recorded with those of the others; its index.
    ///
    /// # Errors
    /// Where that failed, for all of them.
    pub async fn record(mut self, recorder: Arc<dyn Recorder>, minute: Minute) -> Result<u64, LogError> {
        let (answer, answered) = oneshot::channel();
        let complete = {
            let mut batch = self.batch();
            batch.waiting.push((minute, answer));
            batch.recorder = Some(recorder);
            batch.leave()
        };
        self.is_expected = false;
        if let Some(complete) = complete {
            complete.record().await;
        }
        answered.await.map_err(|_| LogError("recording ended early".to_owned()))?
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        // Nothing in here panics halfway through a change.
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who goes away keeps nobody waiting.
impl Drop for BatchMember {
    fn drop(&mut self) {
        if self.is_expected
            && let Some(complete) = self.batch().leave()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(complete.record());
        }
    }
}

impl Batch {
    /// One less is expected; all who wait, where that was the last.
    fn leave(&mut self) -> Option<Self> {
        self.expected -= 1;
        (self.expected == 0 && !self.waiting.is_empty()).then(|| std::mem::take(self))
    }

    async fn record(self) {
        let (minutes, answers): (Vec<_>, Vec<_>) = self.waiting.into_iter().unzip();
        let Some(recorder) = self.recorder else { return };
        let recorded = recorder.record(minutes, self.place).await;
        for (place, answer) in (0..).zip(answers) {
            // Who has gone meanwhile has an outcome in the log.
            let _ = answer.send(recorded.clone().map(|first| first + place));
        }
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("expected", &self.expected).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::join_all;

    use super::*;
    use crate::domain::Event;

    /// How many minutes each call had.
    #[derive(Default)]
    struct Recorded(Mutex<Vec<usize>>);

    #[async_trait]
    impl Recorder for Recorded {
        async fn record(&self, minutes: Vec<Minute>, _: BatchPlace) -> Result<u64, LogError> {
            let mut calls = self.0.lock().unwrap();
            calls.push(minutes.len());
            match minutes.len() {
                5 => Err(LogError("the disk is full".to_owned())),
                _ => Ok(100),
            }
        }
    }

    fn three() -> [BatchMember; 3] {
        BatchMember::all(3).0.try_into().unwrap()
    }

    fn minute() -> Minute {
        let entry = Entry::of_service(Timestamp::UNIX_EPOCH, Event::Stop { instance: "i".to_owned() });
        Minute { entry, delivery: None }
    }

    #[tokio::test]
    async fn all_are_recorded_at_once_when_the_last_has_come_and_each_gets_its_own_index() {
        let recorded = Arc::new(Recorded::default());
        let [first, second, last] = three();
        let mut first = Box::pin(join_all([first, second].map(|one| one.record(recorded.clone(), minute()))));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(recorded.0.lock().unwrap().is_empty());
        assert_eq!(last.record(recorded.clone(), minute()).await, Ok(102));
        assert_eq!(first.await, [Ok(100), Ok(101)]);
        assert_eq!(*recorded.0.lock().unwrap(), [3]);
    }

    #[tokio::test]
    async fn who_goes_away_keeps_nobody_waiting() {
        let recorded = Arc::new(Recorded::default());
        let [stays, goes, last] = three();
        let mut stays = Box::pin(stays.record(recorded.clone(), minute()));
        assert!(stays.as_mut().now_or_never().is_none());
        drop(goes);
        assert!(stays.as_mut().now_or_never().is_none());
        drop(last);
        assert_eq!(stays.await, Ok(100));
        drop(BatchMember::all(2));
        assert_eq!(BatchMember::alone().record(recorded.clone(), minute()).await, Ok(100));
        assert_eq!(*recorded.0.lock().unwrap(), [1, 1]);
    }

    #[tokio::test]
    async fn a_failure_is_everybodys() {
        let recorded = Arc::new(Recorded::default());
        let members = BatchMember::all(5).0.into_iter();
        let answers = join_all(members.map(|one| one.record(recorded.clone(), minute()))).await;
        assert!(answers.iter().all(Result::is_err));
    }
}
