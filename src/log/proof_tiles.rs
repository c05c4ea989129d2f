//! The tiles that proofs are made of, in memory.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::Mutex;

use super::GroupCommitLog;
use super::checkpointer::damaged;
use crate::ports::LogError;
use crate::tlog::{Subtrees, TileHashes as _, TileId, TilePath};

/// Who has just written asks for a proof next: the tiles at the right edge of the tree are in all of those proofs.
pub(super) struct ProofTiles {
    /// What is known of a tile holds for ever, as far as it was wide then.
    known: Cache<TileId, Arc<Subtrees>>,
    /// Held by who reads; whoever needs the same tile meanwhile finds it.
    reading: Mutex<()>,
}

impl ProofTiles {
    /// Tiles that are kept, of 16 kB at most.
    const KEPT: u64 = 256;

    /// Tiles of one level that are read before anybody asks.
    const AHEAD: usize = 4;

    pub(super) fn new() -> Self {
        // The newest are wanted next, however often others were wanted before.
        let known = Cache::builder().max_capacity(Self::KEPT).eviction_policy(EvictionPolicy::lru()).build();
        Self { known, reading: Mutex::default() }
    }

    /// The tiles of these paths, in their order.
    ///
    /// # Errors
    /// Where one is damaged or missing.
    pub(super) async fn of(
        &self,
        log: &GroupCommitLog,
        paths: &[TilePath],
    ) -> Result<Vec<Arc<Subtrees>>, LogError> {
        if let Some(known) = self.all_known(paths) {
            return Ok(known);
        }
        let _reading = self.reading.lock().await;
        let mut tiles: Vec<_> = paths.iter().map(|path| self.known(*path)).collect();
        let missing: Vec<_> = (0..paths.len()).filter(|place| tiles[*place].is_none()).collect();
        if missing.is_empty() {
            // Whoever had the lock has read them.
            return Ok(tiles.into_iter().flatten().collect());
        }
        let ids: Option<Vec<_>> = missing.iter().map(|place| TileId::of_path(&paths[*place])).collect();
        let ids = ids.expect("invariant: proofs are made of tiles of hashes");
        let rows = log.rows(ids.clone()).await?;
        for ((place, id), row) in missing.into_iter().zip(ids).zip(rows) {
            let read = row.and_then(|hashes| Subtrees::of(&hashes)).map(Arc::new);
            let read = read.filter(|tile| tile.is(paths[place])).ok_or_else(|| damaged(paths[place]))?;
            self.known.insert(id, Arc::clone(&read));
            tiles[place] = Some(read);
        }
        Ok(tiles.into_iter().flatten().collect())
    }

    /// Reads what proofs of the entries from `before` to below `size` will need of the tree of `size` leaves. Nobody waits for it,
    /// and where it fails, [`ProofTiles::of`] reads again.
    pub(super) async fn read_ahead(&self, log: &GroupCommitLog, before: u64, size: u64) {
        let mut paths: Vec<TilePath> = Vec::new();
        for level in 0..8 {
            let width = u64::from(TilePath::WIDTH);
            let (first, end) = (TilePath::hashes_at(level, before), TilePath::hashes_at(level, size));
            let numbers = (first / width..end.div_ceil(width)).rev().take(Self::AHEAD);
            paths.extend(numbers.filter_map(|number| TilePath::of_tree(level, number, size)));
        }
        let _ = self.of(log, &paths).await;
    }

    fn all_known(&self, paths: &[TilePath]) -> Option<Vec<Arc<Subtrees>>> {
        paths.iter().map(|path| self.known(*path)).collect()
    }

    /// The tile, where it is known as wide as the path says.
    fn known(&self, path: TilePath) -> Option<Arc<Subtrees>> {
        self.known.get(&TileId::of_path(&path)?).filter(|tile| tile.is(path))
    }
}
