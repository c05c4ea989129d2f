//! The complete subtrees of one tile.

use super::{Fold, Hash, TilePath};

/// What says the hashes of the complete subtrees over a tile: its bytes, out of which they are made, or a [`Subtrees`], which
/// knows them.
pub trait TileHashes {
    /// Whether it is what the tree has at `path`.
    fn is(&self, path: TilePath) -> bool;

    /// The root of the complete subtree of 2^`height` of its hashes that begins at `first`; none where it has not so
    /// many.
    fn root(&self, first: usize, height: u32) -> Option<Hash>;
}

/// The bytes of a tile, as they are published: hashes side by side.
impl TileHashes for Vec<u8> {
    fn is(&self, path: TilePath) -> bool {
        self.len() == usize::from(path.width) * Hash::BYTES
    }

    fn root(&self, first: usize, height: u32) -> Option<Hash> {
        let hashes = self.as_chunks::<{ Hash::BYTES }>().0.get(first..first + (1 << height))?;
        // They stand for complete subtrees of one height: over them it is a tree as over leaves.
        Some(Fold::over(hashes.iter().copied().map(Hash)).head().root)
    }
}

/// The roots of all complete subtrees of a tile, so that many proofs share the work: 255 hashes for a full tile, and
/// 16 kB. What is known of a tile holds for all wider ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtrees {
    /// By height: the tile's own hashes, and above each two that stand at an even place their parent.
    rows: Vec<Vec<Hash>>,
}

impl Subtrees {
    /// Of the hashes of a tile, side by side; none where the last is cut.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<{ Hash::BYTES }>();
        let mut rows = vec![hashes.iter().copied().map(Hash).collect::<Vec<_>>()];
        while let Some(row) = rows.last().filter(|row| row.len() > 1) {
            rows.push(row.as_chunks().0.iter().map(|[left, right]| Hash::of_node(*left, *right)).collect());
        }
        rest.is_empty().then_some(Self { rows })
    }

    /// Hashes of the tile.
    pub fn width(&self) -> usize {
        self.rows[0].len()
    }
}

/// A tile may have grown since the tree was as large as its path says.
impl TileHashes for std::sync::Arc<Subtrees> {
    fn is(&self, path: TilePath) -> bool {
        self.width() >= usize::from(path.width)
    }

    fn root(&self, first: usize, height: u32) -> Option<Hash> {
        self.rows.get(height as usize)?.get(first >> height).copied()
    }
}

/// Hashes that mean nothing, in place of tiles that are not there yet.
#[derive(Debug, Clone, Copy)]
pub struct Blank;

impl TileHashes for Blank {
    fn is(&self, _: TilePath) -> bool {
        true
    }

    fn root(&self, _: usize, _: u32) -> Option<Hash> {
        Some(Hash([0; Hash::BYTES]))
    }
}
