//! The hashes of a tree, out of its tiles.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::convert::Infallible;

use super::{Blank, Hash, TileHashes, TilePath};

/// Why a hash of a tree can not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TilesError<E> {
    #[error(transparent)]
    Source(E),
    /// There is something else in its place.
    #[error("the tile {0} has not as many hashes as its path says")]
    Width(TilePath),
    #[error("the tree has {size} leaves, and there is nothing in it about {end}")]
    Beyond { end: u64, size: u64 },
}

/// The root of the tree of the first `size` leaves, out of the tiles of a tree of exactly that size.
///
/// # Errors
/// Where a tile is missing.
pub fn root_of<H: TileHashes, E>(
    size: u64,
    tiles: impl FnMut(TilePath) -> Result<H, E>,
) -> Result<Hash, TilesError<E>> {
    Reader::new(size, tiles).hash(0, size)
}

/// Hands out tiles.
type Source<'a> = &'a mut dyn FnMut(TilePath) -> Result<Blank, Infallible>;

/// The tiles that `work` reads, which gets hashes that mean nothing: for those who have to fetch them first.
pub fn tiles_for<O>(work: impl FnOnce(Source<'_>) -> O) -> Vec<TilePath> {
    let mut paths = Vec::new();
    work(&mut |path: TilePath| {
        paths.push(path);
        Ok(Blank)
    });
    paths
}

/// Reads each tile of a tree once.
pub(super) struct Reader<H, T> {
    size: u64,
    tiles: T,
    read: BTreeMap<TilePath, H>,
}

impl<H: TileHashes, E, T: FnMut(TilePath) -> Result<H, E>> Reader<H, T> {
    /// Of the tree of `size` leaves.
    pub(super) const fn new(size: u64, tiles: T) -> Self {
        Self { size, tiles, read: BTreeMap::new() }
    }

    /// The hash of the tree of the leaves from `first` to below `end`, both places at which a subtree of this
    /// tree, or of one of its former sizes, begins and ends.
    pub(super) fn hash(&mut self, first: u64, end: u64) -> Result<Hash, TilesError<E>> {
        if end > self.size {
            return Err(TilesError::Beyond { end, size: self.size });
        }
        // From the right, where the smallest complete subtree is.
        let mut hash = None;
        let mut rest = end;
        while rest > first {
            let height = rest.trailing_zeros().min((rest - first).ilog2());
            rest -= 1 << height;
            let left = self.subtree(height, rest >> height)?;
            hash = Some(match hash {
                Some(right) => Hash::of_node(left, right),
                None => left,
            });
        }
        Ok(hash.unwrap_or_else(Hash::empty))
    }

    /// The hash of the complete subtree of `height` with this number among those of its height.
    pub(super) fn subtree(&mut self, height: u32, number: u64) -> Result<Hash, TilesError<E>> {
        let level = (height / 8) as u8;
        let within = height % 8;
        let first = number << within;
        let tile = first / u64::from(TilePath::WIDTH);
        let beyond = TilesError::Beyond { end: (number + 1) << height, size: self.size };
        let path = TilePath::of_tree(level, tile, self.size).ok_or(beyond)?;
        let tile = match self.read.entry(path) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(place) => {
                let tile = (self.tiles)(path).map_err(TilesError::Source)?;
                if !tile.is(path) {
                    return Err(TilesError::Width(path));
                }
                place.insert(tile)
            }
        };
        let from = (first % u64::from(TilePath::WIDTH)) as usize;
        tile.root(from, within).ok_or(TilesError::Width(path))
    }
}
