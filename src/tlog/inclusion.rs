//! That an entry is in a tree: RFC 6962, section 2.1.1, and RFC 9162, section 2.1.3.2.

use super::tiles::Reader;
use super::{Hash, TileHashes, TilePath, TilesError, TreeHead};

/// The proof that the leaf `index` is in the tree of `size` leaves: the hashes beside its way up, the nearest first.
///
/// # Errors
/// Where the tree is not that long, or a tile is missing.
pub fn inclusion_proof<H: TileHashes, E>(
    index: u64,
    size: u64,
    tiles: impl FnMut(TilePath) -> Result<H, E>,
) -> Result<Vec<Hash>, TilesError<E>> {
    let mut reader = Reader::new(size, tiles);
    if index >= size {
        return Err(TilesError::Beyond { end: index.saturating_add(1), size });
    }
    let (mut first, mut end) = (0, size);
    let mut proof = Vec::with_capacity(size.ilog2() as usize + 1);
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            proof.push(reader.hash(middle, end)?);
            end = middle;
        } else {
            proof.push(reader.hash(first, middle)?);
            first = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` says that `leaf` has this index in the tree of `head`.
pub fn verify_inclusion(leaf: Hash, index: u64, head: TreeHead, proof: &[Hash]) -> bool {
    if index >= head.size {
        return false;
    }
    let (mut number, mut last) = (index, head.size - 1);
    let mut hash = leaf;
    for &beside in proof {
        if last == 0 {
            return false;
        }
        if number & 1 == 1 || number == last {
            hash = Hash::of_node(beside, hash);
            while number & 1 == 0 && number != 0 {
                (number, last) = (number >> 1, last >> 1);
            }
        } else {
            hash = Hash::of_node(hash, beside);
        }
        (number, last) = (number >> 1, last >> 1);
    }
    last == 0 && hash == head.root
}

/// Leaves on the left side of a tree of `size` leaves, which are at least two: the largest power of two below it.
pub(super) const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}
