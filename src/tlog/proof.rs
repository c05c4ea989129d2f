//! An entry's proof in one document: <https://github.com/C2SP/C2SP/blob/main/tlog-proof.md>

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Checkpoint, CheckpointError, Hash, VerifierKey, verify_inclusion};

/// That an entry is in the tree of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whatever somebody put there: nothing vouches for it. Signet puts nothing there.
    pub extra: Option<Vec<u8>>,
    /// Of the entry, counted from 0.
    pub index: u64,
    /// As [`inclusion_proof`](super::inclusion_proof) gives them.
    pub hashes: Vec<Hash>,
    /// The signed note.
    pub checkpoint: String,
}

/// Why a text is no proof, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("a proof begins with the line `{}`", Proof::HEADER)]
    Header,
    #[error("a proof's `extra` line holds base64")]
    Extra,
    #[error("a proof has a line `index <number>`, the number without leading zeros")]
    Index,
    #[error("line {0} of the proof is no hash: 32 bytes in base64")]
    Hash(usize),
    #[error("a proof has at most 64 hashes")]
    Long,
    #[error("a proof has an empty line before its checkpoint")]
    Form,
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("entry {index} is not what the tree of {size} entries has there")]
    NotIncluded { index: u64, size: u64 },
}

impl Proof {
    const HEADER: &str = "c2sp.org/tlog-proof@v1";

    /// The checkpoint of the log `origin`, signed with one of `trusted`, in whose tree `leaf` is at [`Proof::index`].
    ///
    /// # Errors
    /// Where nothing is proven.
    pub fn verify(
        &self,
        leaf: Hash,
        origin: &str,
        trusted: &[VerifierKey],
    ) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, origin, trusted)?;
        if verify_inclusion(leaf, self.index, checkpoint.head, &self.hashes) {
            Ok(checkpoint)
        } else {
            Err(ProofError::NotIncluded { index: self.index, size: checkpoint.head.size })
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Self::HEADER)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Proof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofError::Form)?;
        let mut lines = head.split('\n').enumerate().peekable();
        if lines.next().is_none_or(|(_, line)| line != Self::HEADER) {
            return Err(ProofError::Header);
        }
        let extra = lines.next_if(|(_, line)| line.starts_with("extra "));
        let extra = extra.map(|(_, line)| STANDARD.decode(&line["extra ".len()..])).transpose();
        let extra = extra.map_err(|_| ProofError::Extra)?;
        let index = lines.next().and_then(|(_, line)| line.strip_prefix("index "));
        let index = index.and_then(super::decimal).ok_or(ProofError::Index)?;
        let hashes: Vec<_> = lines
            .map(|(place, line)| Hash::from_base64(line).ok_or(ProofError::Hash(place + 1)))
            .take(65)
            .collect::<Result<_, _>>()?;
        if hashes.len() > 64 {
            return Err(ProofError::Long);
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }
}
