//! What makes the signing log provable, pure: the Merkle tree and the formats in which it is published.
//!
//! | file | subject |
//! |---|---|
//! | `hash` | the hashes of the tree (RFC 6962) |
//! | `head` | the size and root of a tree |
//! | `tile` | the paths of tiles (c2sp.org/tlog-tiles) |
//! | `bundle` | entries side by side, as tiles of entries have them |
//! | `verifier_key` | the public keys that notes are verified with |
//! | `note` | signed notes (c2sp.org/signed-note) |
//! | `checkpoint` | tree heads as notes (c2sp.org/tlog-checkpoint) |
//! | `tiles` | the hashes of a tree, out of its tiles |
//! | `subtrees` | the complete subtrees of one tile |
//! | `climb` | the way from an entry up to the root, step by step |
//! | `inclusion` | that an entry is in a tree (RFC 6962, section 2.1.1) |
//! | `consistency` | that a tree has grown out of another (RFC 6962, section 2.1.2) |
//! | `proof` | an entry's proof in one document (c2sp.org/tlog-proof) |
//! | `range` | that entries side by side are a part of a tree, all of it |
//! | `fold` | a tree's root from its leaves, as they come |
//! | `edge` | appending to a tree that is kept as tiles |

mod bundle;
mod checkpoint;
mod climb;
mod consistency;
mod edge;
mod fold;
mod hash;
mod head;
mod inclusion;
mod note;
mod proof;
mod range;
mod subtrees;
mod tile;
mod tiles;
mod verifier_key;

#[cfg(test)]
mod tests;

pub use bundle::{BundleError, entries_of, push_entry};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use climb::{ClimbStep, climb};
pub use consistency::{consistency_proof, verify_consistency};
pub use edge::{Edge, Growth, TILE_WIDTH, TileId};
pub use fold::Fold;
pub use hash::Hash;
pub use head::TreeHead;
pub use inclusion::{inclusion_proof, verify_inclusion};
pub use note::{Note, NoteError, NoteSignature};
pub use proof::{Proof, ProofError};
pub use range::{RangeCheck, RangeError, RangeProof, range_hashes};
pub use subtrees::{Blank, Subtrees, TileHashes};
pub use tile::{Row, TilePath, TilePathError};
pub use tiles::{TilesError, root_of, tiles_for};
pub use verifier_key::{KeyId, VerifierKey, VerifierKeyError};

/// A number as it would be printed: no sign, no leading zeros, below 2^64.
fn decimal(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (number.to_string() == text).then_some(number)
}
