//! Appending to a tree that is kept as tiles.
//! <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md#merkle-tree>

use super::{Fold, Hash, Row, TilePath, TreeHead};

/// Hashes of a full tile.
pub const TILE_WIDTH: u64 = TilePath::WIDTH as u64;

/// Levels of hashes that one level of tiles stands for: the hash in a tile of the next level is the root of a full tile.
const TILE_HEIGHT: u32 = 8;

/// All that is needed of a tree to append to it and to know its root: the roots of its full subtrees, of which there is at
/// most one of each height. A leaf costs two hashes on average, whatever the size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge(Fold);

/// Hashes that come into a tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    pub tile: TileId,
    /// Hashes that are in the tile already: 0 for a new one.
    pub before: usize,
    /// Never more than the tile has room for.
    pub hashes: Vec<Hash>,
}

/// Which tile: the hashes `256 * number` to `256 * number + 255` of a level. Those of level 0 are the leaves'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 to 7: no tree of 2^64 leaves has more.
    pub level: u8,
    pub number: u64,
}

impl Edge {
    /// Of the tree without leaves.
    pub fn empty() -> Self {
        Self(Fold::default())
    }

    /// Of a tree of `size` leaves, from [`Edge::to_bytes`]; none where a tree of that size has another number of
    /// full subtrees.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let edge = hashes(bytes)?;
        (edge.len() == size.count_ones() as usize).then_some(Self(Fold { size, edge }))
    }

    /// Of a tree of `size` leaves, from its tiles: each of [`TileId::at_edge`] is asked for, in that order. None where one
    /// of them is not there, or has too few hashes.
    pub fn of_tiles(size: u64, mut tile: impl FnMut(TileId) -> Option<Vec<u8>>) -> Option<Self> {
        let mut fold = Fold::default();
        for id in TileId::at_edge(size) {
            let row = tile(id)?;
            for hash in hashes(row.get(..id.width_at(size) * Hash::BYTES)?)? {
                fold.push_subtree(u32::from(id.level) * TILE_HEIGHT, hash);
            }
        }
        Some(Self(fold))
    }

    /// 32 bytes for each full subtree, the largest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.edge.iter().flat_map(|peak| peak.0).collect()
    }

    pub const fn size(&self) -> u64 {
        self.0.size()
    }

    pub fn head(&self) -> TreeHead {
        self.0.head()
    }

    /// Appends leaves, and says how the tiles grow: each of them once, those of the lowest level first.
    pub fn append(&mut self, leaves: impl IntoIterator<Item = Hash>) -> Vec<Growth> {
        let mut grown: Vec<Growth> = Vec::new();
        for leaf in leaves {
            let size = self.size();
            add(&mut grown, TileId::of(0, size), size, leaf);
            self.0.push_told(0, leaf, |height, hash| {
                if height.is_multiple_of(TILE_HEIGHT) {
                    let place = size >> height;
                    add(&mut grown, TileId::of(height / TILE_HEIGHT, place), place, hash);
                }
            });
        }
        grown.sort_by_key(|growth| growth.tile);
        grown
    }
}

/// Adds the hash at `place` of its level to the growth of its tile.
fn add(grown: &mut Vec<Growth>, tile: TileId, place: u64, hash: Hash) {
    // The tile that grew last is among the last of them: each level has its own.
    match grown.iter_mut().rev().find(|growth| growth.tile == tile) {
        Some(growth) => growth.hashes.push(hash),
        None => grown.push(Growth { tile, before: (place % TILE_WIDTH) as usize, hashes: vec![hash] }),
    }
}

impl TileId {
    /// The tile of the hash at `place` of a level.
    const fn of(level: u32, place: u64) -> Self {
        Self { level: level as u8, number: place / TILE_WIDTH }
    }

    /// The tile of hashes at this path, however wide it is there; none for one of entries.
    pub const fn of_path(path: &TilePath) -> Option<Self> {
        match path.row {
            Row::Hashes(level) => Some(Self { level, number: path.number }),
            Row::Entries => None,
        }
    }

    /// The tiles at the right edge of a tree that are not full: of the highest level first. Only they ever change.
    pub fn at_edge(size: u64) -> impl Iterator<Item = Self> {
        (0..8)
            .rev()
            .map(move |level| Self::of(u32::from(level), TilePath::hashes_at(level, size)))
            .filter(move |tile| tile.width_at(size) > 0)
    }

    /// How many hashes the tile has in a tree of `size` leaves: 256 where it is full, 0 where it is beyond the tree.
    pub fn width_at(self, size: u64) -> usize {
        TilePath::of_tree(self.level, self.number, size).map_or(0, |tile| usize::from(tile.width))
    }
}

/// Hashes that stand side by side; none where the last is cut.
fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks();
    rest.is_empty().then(|| hashes.iter().map(|hash| Hash(*hash)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;

    /// The sizes at which something happens.
    const SIZES: [u64; 10] = [0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000];

    /// What a store keeps.
    #[derive(Default)]
    struct Tiles(BTreeMap<TileId, Vec<u8>>);

    impl Tiles {
        fn grow(&mut self, grown: Vec<Growth>) {
            for Growth { tile, before, hashes } in grown {
                let row = self.0.entry(tile).or_default();
                assert_eq!(row.len(), before * Hash::BYTES, "{tile:?} grows in place");
                row.extend(hashes.iter().flat_map(|hash| hash.0));
                assert!(row.len() <= TILE_WIDTH as usize * Hash::BYTES);
            }
        }

        fn edge(&self, size: u64) -> Option<Edge> {
            Edge::of_tiles(size, |tile| self.0.get(&tile).cloned())
        }
    }

    fn leaf(index: u64) -> Vec<u8> {
        index.to_be_bytes().to_vec()
    }

    fn leaves(range: std::ops::Range<u64>) -> impl Iterator<Item = Hash> {
        range.map(|index| Hash::of_leaf(&leaf(index)))
    }

    fn oracle(size: u64) -> Hash {
        let mut tree: MemoryBackedTree<Sha256, Vec<u8>> = MemoryBackedTree::new();
        (0..size).for_each(|index| tree.push(leaf(index)));
        Hash(tree.root().as_bytes()[..].try_into().unwrap())
    }

    #[test]
    fn the_root_is_that_of_another_implementation_at_every_size_at_which_something_happens() {
        let (mut edge, mut tiles) = (Edge::empty(), Tiles::default());
        for size in SIZES {
            tiles.grow(edge.append(leaves(edge.size()..size)));
            assert_eq!(
                edge.head(),
                TreeHead { size, root: if size == 0 { Hash::empty() } else { oracle(size) } }
            );
            let rows: Vec<_> = tiles.0.keys().copied().collect();
            let all = TilePath::all_of_tree(size).map(|path| match path.row {
                Row::Hashes(level) => TileId { level, number: path.number },
                Row::Entries => unreachable!("a tree is of hashes"),
            });
            assert_eq!(rows, all.collect::<Vec<_>>(), "{size}");
            for (tile, row) in &tiles.0 {
                assert_eq!(row.len(), tile.width_at(size) * Hash::BYTES, "{tile:?} at {size}");
            }
        }
        let count = |level| tiles.0.keys().filter(|tile| tile.level == level).count();
        assert_eq!((count(0), count(1), count(2)), (274, 2, 1));
        let widths = TileId::at_edge(70_000).map(|tile| tile.width_at(70_000));
        assert_eq!(widths.collect::<Vec<_>>(), [1, 17, 112], "as the reference has them");
    }

    #[test]
    fn the_edge_of_every_earlier_size_can_be_read_from_the_tiles_of_a_later_one() {
        let (mut edge, mut tiles) = (Edge::empty(), Tiles::default());
        let mut edges = vec![edge.clone()];
        for size in SIZES {
            tiles.grow(edge.append(leaves(edge.size()..size)));
            edges.push(edge.clone());
        }
        for earlier in edges {
            assert_eq!(tiles.edge(earlier.size()), Some(earlier.clone()));
            assert_eq!(Edge::from_bytes(earlier.size(), &earlier.to_bytes()), Some(earlier));
        }
        assert_eq!(tiles.edge(70_001), None);
    }

    #[test]
    fn an_edge_of_another_size_is_none() {
        let mut edge = Edge::empty();
        edge.append(leaves(0..7));
        assert_eq!(Edge::from_bytes(8, &edge.to_bytes()), None);
        assert_eq!(Edge::from_bytes(7, &edge.to_bytes()[1..]), None);
        assert_eq!(Edge::from_bytes(0, &[]), Some(Edge::empty()));
    }

    #[test]
    fn tiles_that_no_tree_has_are_empty_in_all_trees() {
        for tile in [TileId { level: 8, number: 0 }, TileId { level: 63, number: 0 }, TileId::of(255, 0)] {
            assert_eq!(tile.width_at(u64::MAX), 0);
        }
        assert_eq!(TileId { level: 0, number: u64::MAX }.width_at(u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn groups_of_any_sizes_make_the_same_tree(groups in prop::collection::vec(0u64..600, 0..12)) {
            let (mut edge, mut tiles) = (Edge::empty(), Tiles::default());
            for group in &groups {
                tiles.grow(edge.append(leaves(edge.size()..edge.size() + group)));
            }
            let size = groups.iter().sum();
            prop_assert_eq!(edge.size(), size);
            if size > 0 {
                prop_assert_eq!(edge.head().root, oracle(size));
            }
            prop_assert_eq!(tiles.edge(size), Some(edge));
        }
    }
}
