//! A tree's root from its leaves, as they come.

use super::{Hash, TreeHead};

/// The right edge of a tree that grows: one hash for each complete subtree, the largest first. At most 64 of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    pub(super) size: u64,
    pub(super) edge: Vec<Hash>,
}

impl Fold {
    /// Leaves so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Of these leaves.
    pub fn over(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut fold = Self::default();
        leaves.into_iter().for_each(|leaf| fold.push(leaf));
        fold
    }

    /// Adds the leaf of this hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(0, leaf);
    }

    /// Adds the complete subtree of 2^`height` leaves that begins here.
    ///
    /// # Panics
    /// Where no such subtree begins here.
    pub fn push_subtree(&mut self, height: u32, hash: Hash) {
        self.push_told(height, hash, |_, _| {});
    }

    /// [`Fold::push_subtree`], and tells `full` of each subtree, by height and hash, that becomes complete by it.
    pub(super) fn push_told(&mut self, height: u32, hash: Hash, mut full: impl FnMut(u32, Hash)) {
        assert!(
            self.size.trailing_zeros() >= height,
            "invariant: a subtree begins at a multiple of its size"
        );
        let (mut hash, mut at) = (hash, height);
        while self.size >> at & 1 == 1 {
            let left = self.edge.pop().expect("invariant: the edge has a hash for each bit of the size");
            (hash, at) = (Hash::of_node(left, hash), at + 1);
            full(at, hash);
        }
        self.edge.push(hash);
        self.size += 1 << height;
    }

    /// The tree of what came so far.
    pub fn head(&self) -> TreeHead {
        let folded = self.edge.iter().rev().copied().reduce(|right, left| Hash::of_node(left, right));
        TreeHead { size: self.size, root: folded.unwrap_or_else(Hash::empty) }
    }
}
