//! The way from an entry up to the root, step by step, for those who want to follow it: what
//! [`verify_inclusion`](super::verify_inclusion) does, with every hash on the way.

use super::Hash;
use super::inclusion::split;

/// One step up: two nodes become the one above them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClimbStep {
    /// The node that we come from, and its leaves: from the first to before the last.
    pub from: Hash,
    pub leaves: (u64, u64),
    /// The node beside it, which the proof gives, and its leaves.
    pub beside: Hash,
    pub beside_leaves: (u64, u64),
    /// Whether the node beside it stands on the left.
    pub is_left: bool,
    /// The node above both.
    pub above: Hash,
}

/// The steps from `leaf`, which is at `index` in a tree of `size` leaves, with the hashes of its inclusion proof: the last one
/// ends at the root that the proof leads to. None where the tree is not that long, or the proof has another length.
pub fn climb(leaf: Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Vec<ClimbStep>> {
    if index >= size {
        return None;
    }
    let (mut first, mut end) = (0, size);
    let mut ways = Vec::with_capacity(proof.len());
    while end - first > 1 {
        let middle = first + split(end - first);
        let is_left = index >= middle;
        let (own, beside) =
            if is_left { ((middle, end), (first, middle)) } else { ((first, middle), (middle, end)) };
        ways.push((own, beside, is_left));
        (first, end) = own;
    }
    ways.reverse();
    if ways.len() != proof.len() {
        return None;
    }
    let mut from = leaf;
    let step = |(&beside, (leaves, beside_leaves, is_left))| {
        let above = if is_left { Hash::of_node(beside, from) } else { Hash::of_node(from, beside) };
        let step = ClimbStep { from, leaves, beside, beside_leaves, is_left, above };
        from = above;
        step
    };
    Some(proof.iter().zip(ways).map(step).collect())
}
