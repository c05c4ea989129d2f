//! What is published of the log, and when.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use signet::domain::SystemClock;
use signet::log::{Checkpointer, GroupCommitLog};
use signet::metrics::Metrics;
use signet::ports::{SigningLog as _, Transparency as _, Writes};
use signet::tlog::{Hash, Proof, TreeHead};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::fixtures::{Place, Story, contract, outside};
use crate::support::notes::{LocalNotes, ORIGIN};

contract! {
    a_published_checkpoint_covers_what_somebody_waits_for,
    who_waits_shares_one_signature,
    nothing_is_published_before_it_is_durable,
    what_nobody_waits_for_is_covered_within_a_second_or_two,
    a_restart_signs_the_same_head_again,
    a_checkpoint_that_was_published_is_stored,
    a_key_that_does_not_sign_keeps_everybody_waiting_and_then_says_so,
    a_key_that_signs_again_covers_everything,
    every_entry_has_a_proof_that_verifies,
    tiles_and_entries_end_where_the_checkpoint_does,
}

/// A log that publishes.
pub struct Publishing {
    pub log: Arc<GroupCommitLog>,
    pub checkpoints: Arc<Checkpointer>,
    pub notes: Arc<LocalNotes>,
    _stopped: DropGuard,
}

impl Publishing {
    pub fn at(place: &Place) -> Self {
        Self::with(place, LocalNotes::new())
    }

    pub fn with(place: &Place, notes: Arc<LocalNotes>) -> Self {
        let log = Arc::new(place.log());
        let stopped = CancellationToken::new();
        let checkpoints = Checkpointer::start(
            log.clone(),
            notes.clone(),
            ORIGIN.to_owned(),
            Arc::new(SystemClock),
            Arc::new(Metrics::new()),
            stopped.clone(),
        );
        Self { log, checkpoints, notes, _stopped: stopped.drop_guard() }
    }

    pub async fn append(&self, count: usize) -> u64 {
        let entries = vec![Story::new().signed(); count];
        self.log.append(entries).await.unwrap() + count as u64 - 1
    }

    /// The newest checkpoint's tree, verified.
    pub async fn head(&self) -> TreeHead {
        let checkpoint = self.checkpoints.checkpoint().await.unwrap().expect("a checkpoint was published");
        assert_eq!(self.notes.open(&checkpoint.note).head, checkpoint.head);
        checkpoint.head
    }

    /// Waits until a checkpoint of `size` was published.
    pub async fn reaches(&self, size: u64) -> TreeHead {
        let mut published = self.checkpoints.published();
        let reached =
            published.wait_for(|checkpoint| checkpoint.as_ref().is_some_and(|it| it.head.size >= size));
        drop(timeout(Duration::from_secs(10), reached).await.expect("in good time").unwrap());
        self.head().await
    }

    /// Ends as a process does.
    pub async fn end(self) {
        let Self { log, checkpoints, notes, _stopped } = self;
        log.close().await.unwrap();
        let ended = Arc::downgrade(&log);
        drop((_stopped, checkpoints, notes, log));
        let gone = async {
            while ended.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.expect("nobody holds the log any more");
    }
}

async fn a_published_checkpoint_covers_what_somebody_waits_for(place: Place) {
    let publishing = Publishing::at(&place);
    for _ in 0..5 {
        let last = publishing.append(3).await;
        publishing.checkpoints.covered(last).await.unwrap();
        assert_eq!(publishing.head().await.size, last + 1);
    }
}

async fn who_waits_shares_one_signature(place: Place) {
    let publishing = Publishing::at(&place);
    publishing.reaches(0).await;
    let before = publishing.notes.count();
    publishing.notes.turns.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    let waiting = (0..200).map(async |_| {
        let last = publishing.append(1).await;
        publishing.checkpoints.covered(last).await.unwrap();
    });
    let open = async {
        let durable = async {
            while publishing.log.entry(199).await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), durable)
            .await
            .expect("all become durable while one is being signed");
        publishing.notes.turns.add_permits(1000);
    };
    tokio::join!(join_all(waiting), open);
    let signatures = publishing.notes.count() - before;
    assert!(signatures <= 3, "{signatures} signatures for 200 that waited");
}

async fn nothing_is_published_before_it_is_durable(place: Place) {
    let publishing = Publishing::at(&place);
    let reader = place.reader();
    let mut published = publishing.checkpoints.published();
    let watching = async {
        let mut last = 0;
        while last < 400 {
            published.changed().await.unwrap();
            let checkpoint = published.borrow_and_update().clone().unwrap();
            let (durable, _) = outside(|| reader.head().unwrap());
            assert!(checkpoint.head.size <= durable.size, "{checkpoint:?} {durable:?}");
            assert!(checkpoint.head.size >= last, "what is published never becomes smaller");
            last = checkpoint.head.size;
        }
    };
    let writing = async {
        for _ in 0..40 {
            let last = publishing.append(10).await;
            publishing.checkpoints.covered(last).await.unwrap();
        }
    };
    timeout(Duration::from_secs(60), async { tokio::join!(watching, writing) }).await.unwrap();
}

async fn what_nobody_waits_for_is_covered_within_a_second_or_two(place: Place) {
    let publishing = Publishing::at(&place);
    publishing.reaches(0).await;
    for _ in 0..20 {
        publishing.append(1).await;
    }
    publishing.reaches(20).await;
    let signatures = publishing.notes.count();
    assert!(signatures <= 4, "{signatures} signatures for 20 commits that nobody waits for");
}

async fn a_restart_signs_the_same_head_again(place: Place) {
    let publishing = Publishing::at(&place);
    let last = publishing.append(300).await;
    publishing.checkpoints.covered(last).await.unwrap();
    let before = publishing.head().await;
    publishing.end().await;

    let publishing = Publishing::at(&place);
    assert_eq!(publishing.reaches(300).await, before);
    let signed = async {
        while publishing.notes.count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), signed).await.unwrap();
    let first = publishing.notes.signed.lock().unwrap()[0].clone();
    assert_eq!(first, format!("{ORIGIN}\n300\n{}\n", before.root), "before anything else");
}

async fn a_checkpoint_that_was_published_is_stored(place: Place) {
    let publishing = Publishing::at(&place);
    let last = publishing.append(1).await;
    publishing.checkpoints.covered(last).await.unwrap();
    let newest = publishing.checkpoints.checkpoint().await.unwrap().unwrap();
    let reader = place.reader();
    let stored = async {
        while outside(|| reader.head().unwrap()).1.as_ref() != Some(&*newest) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), stored).await.expect("within about a second");

    let smaller = signet::ports::SignedCheckpoint { head: TreeHead::empty(), note: "smaller".to_owned() };
    publishing.end().await;
    let writes = Writes { checkpoint: Some(smaller), ..Writes::default() };
    outside(|| place.store().commit(&writes).unwrap());
    assert_eq!(
        outside(|| place.reader().head().unwrap()).1.as_ref(),
        Some(&*newest),
        "never replaced by a smaller one"
    );
}

async fn a_key_that_does_not_sign_keeps_everybody_waiting_and_then_says_so(place: Place) {
    let notes = LocalNotes::new();
    notes.failures.store(u64::MAX, std::sync::atomic::Ordering::SeqCst);
    let left = || notes.failures.load(std::sync::atomic::Ordering::SeqCst);
    let publishing = Publishing::with(&place, notes.clone());
    let last = publishing.append(1).await;
    let error = publishing.checkpoints.covered(last).await.unwrap_err();
    assert!(error.to_string().contains("sealed"), "{error}");
    assert_eq!(publishing.checkpoints.checkpoint().await, Ok(None));
    assert_eq!(publishing.checkpoints.proof(last).await, Ok(None));
    let before = left();
    assert!(publishing.checkpoints.covered(last).await.is_err());
    assert!(left() < before, "who comes later is told of an attempt that began later");
}

async fn a_key_that_signs_again_covers_everything(place: Place) {
    let notes = LocalNotes::new();
    notes.failures.store(4, std::sync::atomic::Ordering::SeqCst);
    let publishing = Publishing::with(&place, notes);
    let last = publishing.append(1).await;
    publishing.checkpoints.covered(last).await.expect("a short failure goes unnoticed");
}

async fn every_entry_has_a_proof_that_verifies(place: Place) {
    let publishing = Publishing::at(&place);
    let last = publishing.append(520).await;
    assert_eq!(publishing.checkpoints.proof(last + 1).await, Ok(None), "beyond the log");
    publishing.checkpoints.covered(last).await.unwrap();
    for index in [0, 1, 254, 255, 256, 257, 511, 512, 518, 519] {
        let proof: Proof = publishing.checkpoints.proof(index).await.unwrap().unwrap().parse().unwrap();
        let entry = publishing.log.entry(index).await.unwrap().unwrap();
        assert_eq!(proof.index, index);
        let verified = proof.verify(Hash::of_leaf(&entry.bytes), ORIGIN, &[publishing.notes.key()]);
        assert_eq!(verified.unwrap().head.size, 520);
        assert!(proof.verify(Hash::of_leaf(b"other"), ORIGIN, &[publishing.notes.key()]).is_err());
    }
}

async fn tiles_and_entries_end_where_the_checkpoint_does(place: Place) {
    let publishing = Publishing::at(&place);
    let last = publishing.append(300).await;
    publishing.checkpoints.covered(last).await.unwrap();
    // Durable, and not published: nobody signs any more.
    publishing.notes.turns.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    publishing.append(100).await;

    let tile = async |level, number, width| {
        let tile = publishing.checkpoints.tile(level, number, width).await.unwrap();
        tile.map(|tile| tile.len() / Hash::BYTES)
    };
    assert_eq!(tile(0, 0, 256).await, Some(256));
    assert_eq!(tile(0, 0, 17).await, Some(17), "of a full tile, what an earlier size had");
    assert_eq!(tile(0, 1, 44).await, Some(44));
    assert_eq!(tile(0, 1, 45).await, None, "durable, and not published");
    assert_eq!(tile(1, 0, 1).await, Some(1));
    for (level, number, width) in [(0, 0, 0), (0, 0, 257), (0, 2, 1), (1, 1, 1), (2, 0, 1), (63, 0, 1)] {
        assert_eq!(tile(level, number, width).await, None, "{level}/{number}.p/{width}");
    }
    assert_eq!(tile(0, u64::MAX, 1).await, None);

    let leaves = async |first, limit| publishing.checkpoints.leaves(first, limit).await.unwrap();
    let indexes: Vec<_> = leaves(290, 1000).await.iter().map(|entry| entry.index).collect();
    assert_eq!(indexes, (290..300).collect::<Vec<_>>());
    assert_eq!(leaves(0, 3).await.len(), 3);
    assert_eq!(leaves(300, 10).await, []);
    assert_eq!(leaves(u64::MAX, 10).await, []);
}
