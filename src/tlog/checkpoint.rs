//! A tree head as its log publishes it: <https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md>

use std::fmt;
use std::str::FromStr;

use super::{Hash, Note, NoteError, TreeHead, VerifierKey};

/// What a log says of itself: who it is, and its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    pub head: TreeHead,
    /// Lines that others add; Signet adds none.
    pub extensions: Vec<String>,
}

/// Why a text is no checkpoint, or none that is to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("a checkpoint has the log's origin in its first line, and a newline after each line")]
    Form,
    #[error("a checkpoint's second line is the tree's size, a number below 2^64 without leading zeros")]
    Size,
    #[error("a checkpoint's third line is the tree's root: 32 bytes in base64")]
    Root,
    #[error("the checkpoint is of the log {found}, and not of {expected}")]
    Origin { found: String, expected: String },
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Checkpoint {
    pub fn new(origin: impl Into<String>, head: TreeHead) -> Self {
        Self { origin: origin.into(), head, extensions: Vec::new() }
    }

    /// The checkpoint of the log `origin` that `note` holds, signed with one of `trusted`.
    ///
    /// # Errors
    /// Where it is none, of another log, or none of the keys has signed it.
    pub fn open(note: &str, origin: &str, trusted: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let note: Note = note.parse()?;
        note.verify(trusted)?;
        let checkpoint: Self = note.text.parse()?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin { found: checkpoint.origin, expected: origin.to_owned() });
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    /// The text of the note.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TreeHead { size, root } = self.head;
        writeln!(f, "{}\n{size}\n{root}", self.origin)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError::Form)?;
        let size = lines.next().and_then(super::decimal).ok_or(CheckpointError::Size)?;
        let root = lines.next().and_then(Hash::from_base64).ok_or(CheckpointError::Root)?;
        let extensions: Vec<_> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Form);
        }
        Ok(Self { origin: origin.to_owned(), head: TreeHead { size, root }, extensions })
    }
}
