//! That a tree has grown out of another: RFC 6962, section 2.1.2, and RFC 9162, section 2.1.4.2.

use super::inclusion::split;
use super::tiles::Reader;
use super::{Hash, TileHashes, TilePath, TilesError, TreeHead};

/// The proof that the tree of `size` leaves begins with that of `old` leaves, out of the tiles of the former. Empty
/// where nothing is to be proven: nothing has grown, or it has grown out of nothing.
///
/// # Errors
/// Where the old tree is larger, or a tile is missing.
pub fn consistency_proof<H: TileHashes, E>(
    old: u64,
    size: u64,
    tiles: impl FnMut(TilePath) -> Result<H, E>,
) -> Result<Vec<Hash>, TilesError<E>> {
    let mut reader = Reader::new(size, tiles);
    if old > size {
        return Err(TilesError::Beyond { end: old, size });
    }
    let mut proof = Vec::new();
    if old == 0 || old == size {
        return Ok(proof);
    }
    let (mut first, mut end) = (0, size);
    while end != old {
        let middle = first + split(end - first);
        if old <= middle {
            proof.push(reader.hash(middle, end)?);
            end = middle;
        } else {
            proof.push(reader.hash(first, middle)?);
            first = middle;
        }
    }
    // Where the old tree is a whole subtree of the new one, whoever verifies has its root.
    if first > 0 {
        proof.push(reader.hash(first, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` says that the tree of `new` begins with that of `old`.
pub fn verify_consistency(old: TreeHead, new: TreeHead, proof: &[Hash]) -> bool {
    if old.size > new.size {
        return false;
    }
    if old.size == new.size {
        return proof.is_empty() && old.root == new.root;
    }
    if old.size == 0 {
        return proof.is_empty() && old.root == Hash::empty();
    }
    // A subtree that is whole begins with itself.
    let (first, rest) = match proof {
        rest if old.size.is_power_of_two() => (old.root, rest),
        [first, rest @ ..] => (*first, rest),
        [] => return false,
    };
    let (mut number, mut last) = (old.size - 1, new.size - 1);
    while number & 1 == 1 {
        (number, last) = (number >> 1, last >> 1);
    }
    let (mut of_old, mut of_new) = (first, first);
    for &beside in rest {
        if last == 0 {
            return false;
        }
        if number & 1 == 1 || number == last {
            (of_old, of_new) = (Hash::of_node(beside, of_old), Hash::of_node(beside, of_new));
            while number & 1 == 0 && number != 0 {
                (number, last) = (number >> 1, last >> 1);
            }
        } else {
            of_new = Hash::of_node(of_new, beside);
        }
        (number, last) = (number >> 1, last >> 1);
    }
    last == 0 && of_old == old.root && of_new == new.root
}
