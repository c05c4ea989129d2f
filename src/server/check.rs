//! Whether the log of a configuration is whole.

use crate::config::Config;
use crate::log::{self, CheckError};
use crate::ports::{SignedCheckpoint, StoreReader};
use crate::store::{self, StoreError};
use crate::tlog::{Checkpoint, TreeHead, VerifierKey};

/// What is known of a log in which nothing is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedLog {
    pub head: TreeHead,
    /// Of the stored checkpoint.
    pub checkpoint: Option<u64>,
    /// Whether that was verified: the log keeps the public keys that it knows.
    pub verified: bool,
}

/// Why a log is not known to be whole.
#[derive(Debug, thiserror::Error)]
pub enum CheckLogError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Check(#[from] CheckError),
}

impl CheckLogError {
    /// Whether the log was read, and is damaged.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Check(CheckError::Damaged(_)))
    }
}

/// [`log::check`] of the log that `config` names, and the signature of its stored checkpoint, with the public keys that the
/// log keeps. It blocks. A service may write the log meanwhile.
///
/// # Errors
/// With the first damage, and where the log can not be read.
pub fn check_log(config: &Config, progress: impl FnMut(u64, u64)) -> Result<CheckedLog, CheckLogError> {
    let reader = store::reader(&config.log)?;
    let whole = log::check(&*reader, progress)?;
    let verified = match &whole.checkpoint {
        Some(checkpoint) => verify(config, &*reader, checkpoint)?,
        None => false,
    };
    let checkpoint = whole.checkpoint.map(|checkpoint| checkpoint.head.size);
    Ok(CheckedLog { head: whole.head, checkpoint, verified })
}

/// Whether there is a key to verify with.
fn verify(
    config: &Config,
    reader: &dyn StoreReader,
    checkpoint: &SignedCheckpoint,
) -> Result<bool, CheckError> {
    let origin = checkpoint.note.lines().next().unwrap_or_default();
    let kept = reader.archived(&config.log.checkpoint_key)?;
    let keys = kept.iter().filter_map(|kept| VerifierKey::new(origin, kept.public_key.to_ed25519()?).ok());
    let keys: Vec<_> = keys.collect();
    if keys.is_empty() {
        return Ok(false);
    }
    let damaged =
        |what: String| CheckError::Damaged(format!("its stored checkpoint does not verify: {what}"));
    let says = Checkpoint::open(&checkpoint.note, origin, &keys);
    let says = says.map_err(|error| damaged(error.to_string()))?;
    if says.head == checkpoint.head { Ok(true) } else { Err(damaged("it speaks of another tree".to_owned())) }
}
