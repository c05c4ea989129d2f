//! That entries side by side are a part of a tree, all of it: what stands left and right of them, as few hashes as that
//! takes, so that with the entries between them the root comes out.
//!
//! No specification has a form for it. Ours is that of `tlog-proof`: a line that names it, `range <first> <end>`, a hash a
//! line from left to right, an empty line, and the checkpoint.

use std::fmt;
use std::str::FromStr;

use super::tiles::Reader;
use super::{
    Checkpoint, CheckpointError, Fold, Hash, TileHashes, TilePath, TilesError, TreeHead, VerifierKey,
};

/// The proof of the entries from `first` to below `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    pub first: u64,
    pub end: u64,
    /// Of the largest subtrees before `first`, and then of those from `end` on.
    pub hashes: Vec<Hash>,
    /// The signed note.
    pub checkpoint: String,
}

/// Why a text is no proof of a range, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("a proof of a range begins with the line `{}`", RangeProof::HEADER)]
    Header,
    #[error("a proof of a range has a line `range <first> <end>`, the second number not below the first")]
    Range,
    #[error("line {0} of the proof is no hash: 32 bytes in base64")]
    Hash(usize),
    #[error("a proof of a range has an empty line before its checkpoint")]
    Form,
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the tree has {size} entries, and the range ends at {end}")]
    Beyond { end: u64, size: u64 },
    #[error("the proof has {found} hashes, and this range of this tree takes {expected}")]
    Count { found: usize, expected: usize },
    #[error("there are {found} entries, and the range has {expected}")]
    Entries { found: u64, expected: u64 },
    #[error("the entries are not those of the checkpoint's tree: one was changed, left out or put in")]
    Root,
}

/// Takes the entries of a range, one after another, and says at the end whether they are those of the tree. Holds some
/// hashes, however many entries there are.
#[derive(Debug, Clone)]
pub struct RangeCheck {
    proof: RangeProof,
    head: TreeHead,
    fold: Fold,
}

/// The hashes that prove the range of a tree of `size` leaves.
///
/// # Errors
/// Where the tree is not that long, or a tile is missing.
pub fn range_hashes<H: TileHashes, E>(
    first: u64,
    end: u64,
    size: u64,
    tiles: impl FnMut(TilePath) -> Result<H, E>,
) -> Result<Vec<Hash>, TilesError<E>> {
    if end > size || first > end {
        return Err(TilesError::Beyond { end: end.max(first), size });
    }
    let mut reader = Reader::new(size, tiles);
    let parts = subtrees(0, first).chain(subtrees(end, size));
    parts.map(|(height, number)| reader.subtree(height, number)).collect()
}

/// The largest complete subtrees, as height and number among those of their height, that the leaves from `first` to below
/// `end` consist of.
fn subtrees(first: u64, end: u64) -> impl Iterator<Item = (u32, u64)> {
    let mut next = first;
    std::iter::from_fn(move || {
        let rest = end.checked_sub(next).filter(|rest| *rest > 0)?;
        let height = next.trailing_zeros().min(rest.ilog2());
        let number = next >> height;
        next += 1 << height;
        Some((height, number))
    })
}

impl RangeProof {
    const HEADER: &str = "signet-log-range@v1";

    /// Begins to check the range against the checkpoint of the log `origin`, signed with one of `trusted`.
    ///
    /// # Errors
    /// Where nothing can be proven with it.
    pub fn check(self, origin: &str, trusted: &[VerifierKey]) -> Result<RangeCheck, RangeError> {
        let head = Checkpoint::open(&self.checkpoint, origin, trusted)?.head;
        if self.end > head.size || self.first > self.end {
            return Err(RangeError::Beyond { end: self.end, size: head.size });
        }
        let left: Vec<_> = subtrees(0, self.first).collect();
        let expected = left.len() + subtrees(self.end, head.size).count();
        if self.hashes.len() != expected {
            return Err(RangeError::Count { found: self.hashes.len(), expected });
        }
        let mut fold = Fold::default();
        for ((height, _), hash) in left.iter().zip(&self.hashes) {
            fold.push_subtree(*height, *hash);
        }
        Ok(RangeCheck { proof: self, head, fold })
    }
}

impl RangeCheck {
    /// The tree that the checkpoint speaks of.
    pub const fn head(&self) -> TreeHead {
        self.head
    }

    /// The index of the entry that comes next.
    pub const fn next(&self) -> u64 {
        self.fold.size()
    }

    /// The tree of everything up to here; what is left of the range is believed until [`RangeCheck::finish`].
    pub fn so_far(&self) -> TreeHead {
        self.fold.head()
    }

    /// The next entry, by the hash of its bytes.
    pub fn push(&mut self, leaf: Hash) {
        self.fold.push(leaf);
    }

    /// # Errors
    /// Where the entries are not those of the tree, or not all of them.
    pub fn finish(mut self) -> Result<TreeHead, RangeError> {
        let RangeProof { first, end, hashes, .. } = &self.proof;
        if self.fold.size() != *end {
            return Err(RangeError::Entries { found: self.fold.size() - first, expected: end - first });
        }
        let left = subtrees(0, *first).count();
        for ((height, _), hash) in subtrees(*end, self.head.size).zip(&hashes[left..]) {
            self.fold.push_subtree(height, *hash);
        }
        if self.fold.head() == self.head { Ok(self.head) } else { Err(RangeError::Root) }
    }
}

impl fmt::Display for RangeProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nrange {} {}", Self::HEADER, self.first, self.end)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for RangeProof {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(RangeError::Form)?;
        let mut lines = head.split('\n').enumerate();
        if lines.next().is_none_or(|(_, line)| line != Self::HEADER) {
            return Err(RangeError::Header);
        }
        let range = lines.next().and_then(|(_, line)| line.strip_prefix("range ")?.split_once(' '));
        let range = range.and_then(|(first, end)| Some((super::decimal(first)?, super::decimal(end)?)));
        let (first, end) = range.filter(|(first, end)| first <= end).ok_or(RangeError::Range)?;
        let hash = |(place, line)| Hash::from_base64(line).ok_or(RangeError::Hash(place + 1));
        let hashes = lines.map(hash).collect::<Result<_, _>>()?;
        Ok(Self { first, end, hashes, checkpoint: checkpoint.to_owned() })
    }
}
