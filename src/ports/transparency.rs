use std::sync::Arc;

use async_trait::async_trait;

use super::{LogError, LoggedEntry, SignerError};
use crate::tlog::TreeHead;

/// A tree head that the log's key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    pub head: TreeHead,
    /// The signed note: a checkpoint's text, an empty line, and signatures.
    /// <https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md>
    pub note: String,
}

/// The log as something that can be proven.
#[async_trait]
pub trait Transparency: Send + Sync {
    /// The newest checkpoint that was published; none before the first. Never waits for one to be signed.
    async fn checkpoint(&self) -> Result<Option<Arc<SignedCheckpoint>>, LogError>;

    /// Waits until a published checkpoint covers the entry `index`, which is durable already. At once where one does.
    ///
    /// # Errors
    /// Where none comes in good time. What the entry speaks of must not be released then.
    async fn covered(&self, index: u64) -> Result<(), LogError>;

    /// Waits until a checkpoint could not be signed: at once where the last attempt failed.
    async fn failing(&self);

    /// The proof that the entry `index` is in the tree of the newest checkpoint, as `c2sp.org/tlog-proof@v1`; none where that
    /// does not cover it yet, or the log is not that long. Never waits.
    async fn proof(&self, index: u64) -> Result<Option<String>, LogError>;

    /// The first `width` hashes (1 to 256) of the tile `number` of `level` (0 to 63), side by side; none where the newest
    /// checkpoint's tree does not have them.
    async fn tile(&self, level: u8, number: u64, width: u16) -> Result<Option<Vec<u8>>, LogError>;

    /// Entries from `first` on, in their order and without gaps: at most `limit`, fewer where they are large, and none
    /// from the newest checkpoint's size on.
    async fn leaves(&self, first: u64, limit: usize) -> Result<Vec<LoggedEntry>, LogError>;
}

/// The holder of the log's own key, which nothing else is signed with.
#[async_trait]
pub trait NoteSigner: Send + Sync {
    /// The note that says `text`, signed with the key's newest version, and with the one before as long as both are in
    /// force. `text` ends in a newline. Each signature has been verified with its version's public key.
    /// <https://github.com/C2SP/C2SP/blob/main/signed-note.md>
    ///
    /// # Errors
    /// Where the newest version does not sign.
    async fn sign_note(&self, text: &str) -> Result<String, SignerError>;

    /// The public keys of all versions that ever signed, as verifier keys (`<name>+<hex key id>+<base64>`), the newest first.
    async fn verifier_keys(&self) -> Result<Vec<String>, SignerError>;
}
