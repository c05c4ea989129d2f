//! Text that keys have signed: <https://github.com/C2SP/C2SP/blob/main/signed-note.md>

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KeyId, VerifierKey};

/// A signed note, as it was read or is to be written. Before [`Note::verify`] nothing that it says is to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Ends in a newline.
    pub text: String,
    /// In their order, 1 to [`Note::MAX_SIGNATURES`].
    pub signatures: Vec<NoteSignature>,
}

/// A signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    pub id: KeyId,
    pub signature: Vec<u8>,
}

/// Why a note is none, or none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("the note is larger than {} bytes", Note::MAX_BYTES)]
    Large,
    #[error("the note holds a control character")]
    Control,
    #[error(
        "the note has no empty line between its text and its signatures, or it does not end in a newline"
    )]
    Form,
    #[error("line {0} of the note's signatures is none: `— <key name> <base64>`")]
    Line(usize),
    #[error("the note has more than {} signatures", Note::MAX_SIGNATURES)]
    Signatures,
    #[error("the signature of the key {0} is wrong: the note is not what it signed")]
    Wrong(String),
    #[error("none of the trusted keys has signed the note")]
    Unknown,
}

/// What comes before a signature.
const DASH: &str = "— ";

impl Note {
    /// Bytes of a note that is read.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Signatures of a note that is read.
    pub const MAX_SIGNATURES: usize = 64;

    /// The keys out of `trusted` that have signed the note. What others have signed is not looked at.
    ///
    /// # Errors
    /// Where a trusted key's signature is wrong, or there is none of any.
    pub fn verify<'a>(&self, trusted: &'a [VerifierKey]) -> Result<Vec<&'a VerifierKey>, NoteError> {
        let mut signers: Vec<&VerifierKey> = Vec::new();
        for line in &self.signatures {
            let known = trusted.iter().filter(|key| key.name() == line.name && key.id() == line.id);
            for key in known {
                if !key.verifies(&self.text, &line.signature) {
                    return Err(NoteError::Wrong(format!("{}+{}", line.name, line.id)));
                }
                if !signers.contains(&key) {
                    signers.push(key);
                }
            }
        }
        if signers.is_empty() { Err(NoteError::Unknown) } else { Ok(signers) }
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > Self::MAX_BYTES {
            return Err(NoteError::Large);
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Control);
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let signatures: Vec<_> = lines
            .split('\n')
            .take(Self::MAX_SIGNATURES + 1)
            .enumerate()
            .map(|(place, line)| line.parse().map_err(|NotALine| NoteError::Line(place + 1)))
            .collect::<Result<_, _>>()?;
        if signatures.len() > Self::MAX_SIGNATURES {
            return Err(NoteError::Signatures);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.to_bytes()[..], &self.signature].concat();
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A line is no signature.
#[derive(Debug)]
pub struct NotALine;

impl FromStr for NoteSignature {
    type Err = NotALine;

    fn from_str(line: &str) -> Result<Self, NotALine> {
        let (name, encoded) =
            line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')).ok_or(NotALine)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NotALine)?;
        match bytes.split_first_chunk() {
            Some((id, signature)) if VerifierKey::is_name(name) && !signature.is_empty() => {
                Ok(Self { name: name.to_owned(), id: KeyId::from_bytes(*id), signature: signature.to_vec() })
            }
            _ => Err(NotALine),
        }
    }
}
