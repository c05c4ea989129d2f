//! A log in a folder, as c2sp.org/tlog-tiles has it.

use super::source::Source;
use crate::cli::Failure;
use crate::tlog::{Fold, Hash, TilePath};

/// Makes all tiles again from the leaves, and compares them with those that are there. Holds one tile of each level.
pub(super) struct TileCheck<'a> {
    source: &'a Source<'a>,
    size: u64,
    /// What the tile has at the right edge of each level, and which one it is.
    levels: Vec<(u64, Vec<Hash>)>,
}

impl<'a> TileCheck<'a> {
    /// Of a tree of `size` leaves.
    pub(super) const fn of(source: &'a Source<'a>, size: u64) -> Self {
        Self { source, size, levels: Vec::new() }
    }

    /// The next leaf.
    pub(super) async fn push(&mut self, leaf: Hash) -> Result<(), Failure> {
        let (mut hash, mut level) = (leaf, 0);
        loop {
            if self.levels.len() == level {
                self.levels.push((0, Vec::new()));
            }
            let (number, hashes) = &mut self.levels[level];
            hashes.push(hash);
            if hashes.len() < usize::from(TilePath::WIDTH) {
                return Ok(());
            }
            let (full, at) = (std::mem::take(hashes), *number);
            *number += 1;
            hash = Fold::over(full.iter().copied()).head().root;
            self.compare(level, at, &full).await?;
            level += 1;
        }
    }

    /// Compares the tiles at the right edge.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        for (level, (number, hashes)) in self.levels.iter().enumerate() {
            if !hashes.is_empty() {
                self.compare(level, *number, hashes).await?;
            }
        }
        Ok(())
    }

    async fn compare(&self, level: usize, number: u64, hashes: &[Hash]) -> Result<(), Failure> {
        let path = u8::try_from(level).ok().and_then(|level| TilePath::of_tree(level, number, self.size));
        let path = path.ok_or_else(|| Failure::refused("there are more entries than the checkpoint says"))?;
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
        if self.source.tile(path).await? == bytes {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "the tile {path} is not that of the entries: it, or an entry below it, was changed"
        )))
    }
}
