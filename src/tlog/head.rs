//! A tree at one moment.

use super::Hash;

/// How large a tree is, and the one hash that stands for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Leaves.
    pub size: u64,
    pub root: Hash,
}

impl TreeHead {
    /// Of the tree without leaves.
    pub fn empty() -> Self {
        Self { size: 0, root: Hash::empty() }
    }
}
