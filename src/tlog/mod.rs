//! What makes the signing log provable, pure: the Merkle tree and the formats in which it is published.
//!
//! | file | subject |
//! |---|---|
//! | `hash` | the hashes of the tree (RFC 6962) |
//! | `head` | the size and root of a tree |
//! | `edge` | appending to a tree that is kept as tiles |

mod edge;
mod hash;
mod head;

pub use edge::{Edge, Growth, TILE_WIDTH, TileId};
pub use hash::Hash;
pub use head::TreeHead;
