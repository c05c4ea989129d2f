//! Publishing the log's head, signed, so that what is in the log can be proven.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::{Either, select};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::GroupCommitLog;
use super::heads::Reached;
use super::proof_tiles::ProofTiles;
use crate::domain::Clock;
use crate::metrics::Metrics;
use crate::ports::{LogError, LogRange as _, LoggedEntry, NoteSigner, SignedCheckpoint, Transparency};
use crate::tlog::{
    Checkpoint, Edge, Hash, Proof, Row, TileId, TilePath, TreeHead, inclusion_proof, tiles_for,
};

/// Has the log's key sign the head of the log, and publishes what comes of it.
///
/// One signature is under way at a time, and it covers all that was durable when it began: so the more is written, the
/// more entries share one. It begins when somebody waits ([`Transparency::covered`]), and where nobody does, within
/// a second: refusals, intents and what became of deliveries cause no signature of their own. Where several processes
/// have the log open, each signs heads that it has seen to be durable, and takes over what others have stored. What is
/// published never becomes smaller, and never says something of a tree of which the one published before is no part.
pub struct Checkpointer {
    log: Arc<GroupCommitLog>,
    published: watch::Sender<Option<Arc<SignedCheckpoint>>>,
    /// The largest size that somebody waits for.
    wanted: watch::Sender<u64>,
    /// Attempts that have begun.
    attempts: AtomicU64,
    failing: watch::Sender<Option<Failing>>,
    tiles: ProofTiles,
}

/// How signing fails.
#[derive(Debug, Clone)]
struct Failing {
    since: Instant,
    /// Which attempt failed last, counted from 1.
    attempt: u64,
    error: LogError,
}

impl Checkpointer {
    /// How long entries that nobody waits for stay uncovered, and a published checkpoint is not stored.
    const IDLE: Duration = Duration::from_secs(1);

    /// How long one attempt to sign may take.
    const SIGNING: Duration = Duration::from_secs(5);

    /// How long a failure is not told, and whoever waits does.
    const PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

    /// The first and the longest pause between two attempts.
    const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

    /// Begins with the head that the log has now, until `stopped` is cancelled. Checkpoints are those of the log `origin`.
    pub fn start(
        log: Arc<GroupCommitLog>,
        signer: Arc<dyn NoteSigner>,
        origin: String,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        stopped: CancellationToken,
    ) -> Arc<Self> {
        let checkpointer = Arc::new(Self {
            log,
            published: watch::Sender::new(None),
            wanted: watch::Sender::new(0),
            attempts: AtomicU64::new(0),
            failing: watch::Sender::new(None),
            tiles: ProofTiles::new(),
        });
        let work =
            Work { to: checkpointer.clone(), signer, origin, metrics, clock, seen: None, signed: false };
        tokio::spawn(async move {
            let _ = stopped.run_until_cancelled_owned(work.run()).await;
        });
        checkpointer
    }

    /// Each checkpoint as it is published.
    pub fn published(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.published.subscribe()
    }

    fn newest(&self) -> Option<Arc<SignedCheckpoint>> {
        self.published.borrow().clone()
    }

    /// Leaves of the newest checkpoint's tree.
    fn size(&self) -> u64 {
        self.published.borrow().as_ref().map_or(0, |checkpoint| checkpoint.head.size)
    }
}

#[async_trait]
impl Transparency for Checkpointer {
    async fn checkpoint(&self) -> Result<Option<Arc<SignedCheckpoint>>, LogError> {
        Ok(self.newest())
    }

    async fn covered(&self, index: u64) -> Result<(), LogError> {
        if self.size() > index {
            return Ok(());
        }
        let mut published = self.published.subscribe();
        let mut failing = self.failing.subscribe();
        self.wanted.send_if_modified(|wanted| {
            let more = *wanted <= index;
            *wanted = (*wanted).max(index.saturating_add(1));
            more
        });
        let covers = published.wait_for(|checkpoint| {
            checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.head.size > index)
        });
        // An attempt that had begun before says nothing: what it failed for may be over.
        let begun = self.attempts.load(Ordering::Acquire);
        let fails = failing.wait_for(|failing| {
            failing
                .as_ref()
                .is_some_and(|failing| failing.attempt > begun && failing.since.elapsed() >= Self::PATIENCE.0)
        });
        let ended = || LogError("no checkpoints are signed any more: Signet is stopping".to_owned());
        let waited = timeout(Self::PATIENCE.1, async {
            tokio::select! {
                biased;
                covered = covers => covered.map(drop).map_err(|_| ended()),
                failed = fails => Err(match failed.as_deref() {
                    Ok(Some(failing)) => failing.error.clone(),
                    _ => ended(),
                }),
            }
        });
        let late =
            || LogError(format!("no checkpoint has covered entry {index} within {:?}", Self::PATIENCE.1));
        waited.await.unwrap_or_else(|_| Err(late()))
    }

    async fn failing(&self) {
        // The sender lives as long as this.
        let _ = self.failing.subscribe().wait_for(Option::is_some).await;
    }

    async fn proof(&self, index: u64) -> Result<Option<String>, LogError> {
        let Some(checkpoint) = self.newest().filter(|checkpoint| checkpoint.head.size > index) else {
            return Ok(None);
        };
        let size = checkpoint.head.size;
        let paths = tiles_for(|tiles| inclusion_proof(index, size, tiles));
        let tiles = self.tiles.of(&self.log, &paths).await?;
        let read = |path: TilePath| {
            let place = paths.iter().position(|other| *other == path);
            place.map(|place| tiles[place].clone()).ok_or_else(|| damaged(path))
        };
        let hashes = inclusion_proof(index, size, read).map_err(|error| LogError(error.to_string()))?;
        Ok(Some(Proof { extra: None, index, hashes, checkpoint: checkpoint.note.clone() }.to_string()))
    }

    async fn tile(&self, level: u8, number: u64, width: u16) -> Result<Option<Vec<u8>>, LogError> {
        let path = TilePath { row: Row::Hashes(level), number, width };
        match TilePath::of_tree(level, number, self.size()) {
            Some(newest) if (1..=newest.width).contains(&width) => {
                let tile = self.log.tiles(vec![path]).await?.pop().flatten();
                tile.map(Some).ok_or_else(|| damaged(path))
            }
            _ => Ok(None),
        }
    }

    async fn leaves(&self, first: u64, limit: usize) -> Result<Vec<LoggedEntry>, LogError> {
        let rest = usize::try_from(self.size().saturating_sub(first)).unwrap_or(usize::MAX);
        match limit.min(rest) {
            0 => Ok(Vec::new()),
            limit => self.log.range(first, limit).await,
        }
    }
}

/// A tile that the newest checkpoint's tree has, and the store has not.
pub(super) fn damaged(path: TilePath) -> LogError {
    LogError(format!("the tile {path} is damaged or missing"))
}

/// The one who signs.
struct Work {
    to: Arc<Checkpointer>,
    signer: Arc<dyn NoteSigner>,
    origin: String,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// What was last published, and how often others had written by then; none where it came from them.
    seen: Option<(TreeHead, Option<u64>)>,
    /// Whether this process has signed anything.
    signed: bool,
}

impl Work {
    async fn run(mut self) {
        let mut idle = interval(Checkpointer::IDLE);
        idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wanted = self.to.wanted.subscribe();
        // What is durable is signed again after a restart, before anything else.
        let mut due = true;
        let mut failures = 0;
        loop {
            let attempt = self.to.attempts.fetch_add(1, Ordering::AcqRel) + 1;
            let worked = self.step(due).await;
            match worked {
                Ok(()) => {
                    failures = 0;
                    self.to.failing.send_replace(None);
                }
                Err(error) => {
                    failures += 1;
                    self.metrics.checkpoint_failed();
                    if failures == 1 {
                        tracing::error!(%error, "no checkpoint of the log could be published");
                    }
                    self.to.failing.send_modify(|failing| {
                        let since = failing.as_ref().map_or_else(Instant::now, |failing| failing.since);
                        *failing = Some(Failing { since, attempt, error });
                    });
                    let pause = Checkpointer::PAUSES.0 * 2_u32.saturating_pow(failures - 1);
                    sleep(pause.min(Checkpointer::PAUSES.1)).await;
                    continue;
                }
            }
            due = tokio::select! {
                biased;
                waiting = wanted.wait_for(|wanted| *wanted > self.to.size()) => match waiting {
                    Ok(_) => false,
                    Err(_) => return,
                },
                _ = idle.tick() => true,
            };
        }
    }

    /// Publishes a checkpoint of what is durable, where somebody waits for it; when `idle`, also of what nobody waits for and
    /// of what other processes have written, and has it stored.
    async fn step(&mut self, idle: bool) -> Result<(), LogError> {
        let log = self.to.log.clone();
        if log.guard.check().is_err() {
            // Nobody knows yet whether it is the log that it was: no checkpoint may speak of another.
            sleep(Checkpointer::IDLE).await;
            return Ok(());
        }
        let Reached { head, others } = log.heads.reached();
        let wanted = *self.to.wanted.borrow();
        if (self.to.size() + 1..=head.size).contains(&wanted) {
            self.sign(head, Some(others)).await?;
        }
        if !idle && wanted <= head.size {
            return Ok(());
        }
        let (durable, stored) = log.stored_head().await?;
        if let Some(stored) = stored.filter(|stored| stored.head.size > self.to.size()) {
            self.confirm(stored.head, None).await?;
            self.publish(stored, None);
        }
        let (head, others) = if durable.size > head.size { (durable, None) } else { (head, Some(others)) };
        if !self.signed || head.size > self.to.size() {
            self.sign(head, others).await?;
        }
        if idle {
            log.keep_checkpoint();
        }
        Ok(())
    }

    async fn sign(&mut self, head: TreeHead, others: Option<u64>) -> Result<(), LogError> {
        self.confirm(head, others).await?;
        let text = Checkpoint::new(self.origin.clone(), head).to_string();
        let start = Instant::now();
        let note = timeout(Checkpointer::SIGNING, self.signer.sign_note(&text));
        // What those who wait will need, while the key holder works.
        let ahead = self.to.tiles.read_ahead(&self.to.log, self.to.size(), head.size);
        let note = match select(pin!(note), pin!(ahead)).await {
            Either::Left((note, _)) => note,
            Either::Right(((), note)) => note.await,
        };
        let note = note
            .map_err(|_| LogError(format!("no checkpoint was signed within {:?}", Checkpointer::SIGNING)))?
            .map_err(|error| LogError(format!("no checkpoint was signed: {error}")))?;
        self.metrics.checkpoint_signed(start.elapsed());
        self.signed = true;
        let checkpoint = SignedCheckpoint { head, note };
        self.to.log.heads.keep(checkpoint.clone());
        self.publish(checkpoint, others);
        Ok(())
    }

    fn publish(&mut self, checkpoint: SignedCheckpoint, others: Option<u64>) {
        let head = checkpoint.head;
        self.metrics.checkpoint_published(head.size, self.clock.now().as_second());
        self.to.published.send_replace(Some(Arc::new(checkpoint)));
        self.seen = Some((head, others));
    }

    /// That the tree of `head` goes on from the one that was published. Where this process has seen each entry come
    /// behind the one before, it does; else the tiles tell.
    async fn confirm(&self, head: TreeHead, others: Option<u64>) -> Result<(), LogError> {
        let Some((before, then)) = self.seen else { return Ok(()) };
        if others.is_some() && others == then && before.size <= head.size {
            return Ok(());
        }
        if self.to.log.trees_at([before.size, head.size]).await? == [Some(before), Some(head)] {
            return Ok(());
        }
        let error = LogError(format!(
            "the log of {} entries does not go on from the {} that a published checkpoint speaks of: an old database was \
             put in the place of this one, or it is damaged. Nothing is written any more",
            head.size, before.size
        ));
        self.to.log.guard.set(Err(error.clone()));
        Err(error)
    }
}

impl GroupCommitLog {
    /// The tiles of these paths; none where there is none of that width.
    async fn tiles(&self, paths: Vec<TilePath>) -> Result<Vec<Option<Vec<u8>>>, LogError> {
        let none = TileId { level: u8::MAX, number: 0 };
        let ids = paths.iter().map(|path| TileId::of_path(path).unwrap_or(none));
        let rows = self.rows(ids.collect()).await?;
        let cut = |(mut row, path): (Vec<u8>, &TilePath)| {
            let bytes = usize::from(path.width) * Hash::BYTES;
            let wide = row.len() >= bytes;
            row.truncate(bytes);
            wide.then_some(row)
        };
        Ok(rows.into_iter().zip(&paths).map(|(row, path)| row.and_then(|row| cut((row, path)))).collect())
    }

    /// The trees of the first entries, so many each time, as the tiles tell of them; none where a tile is damaged or missing.
    pub(super) async fn trees_at<const N: usize>(
        &self,
        sizes: [u64; N],
    ) -> Result<[Option<TreeHead>; N], LogError> {
        let ids: Vec<_> = sizes.into_iter().flat_map(TileId::at_edge).collect();
        let tiles = self.rows(ids.clone()).await?;
        let tile = |id| tiles[ids.iter().position(|other| *other == id)?].clone();
        Ok(sizes.map(|size| Edge::of_tiles(size, tile).map(|edge| edge.head())))
    }

    pub(super) async fn rows(&self, ids: Vec<TileId>) -> Result<Vec<Option<Vec<u8>>>, LogError> {
        self.read(&self.lookups, move |reader| reader.tiles(&ids)).await
    }

    pub(super) async fn stored_head(&self) -> Result<(TreeHead, Option<SignedCheckpoint>), LogError> {
        self.read(&self.lookups, |reader| reader.head()).await
    }
}
