//! Rows of one width, many together.

use super::SearchFault;
use super::keys::Dimension;
use crate::domain::{AttachResult, Event, Outcome};
use crate::ports::SignatureState;

/// A row: numbers of the dictionary, a time in microseconds since 1970, and numbers of other sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<const CODES: usize, const NUMBERS: usize> {
    pub(super) codes: [u32; CODES],
    pub(super) time: i64,
    pub(super) numbers: [u64; NUMBERS],
}

/// What one entry says: see [`ENTRY`].
pub(super) type EntryRow = Row<6, 0>;

/// The dimensions of an entry's codes.
pub(super) const ENTRY: [Dimension; 6] = Dimension::NAMED;

/// Entries of one sheet.
pub(super) const ENTRIES: u64 = 512;

/// What is known of one signature: see [`SIGNATURE`]. Its time is that of its first entry. Its numbers are the beginning
/// of its artifact's digest, and the indexes of its first entry, of its last intent, of the entry that holds the
/// signature, and of the one that brought it into its state; [`NONE`] for what there is not.
pub(super) type SignatureRow = Row<4, 5>;

/// The dimensions of a signature's codes.
pub(super) const SIGNATURE: [Dimension; 4] =
    [Dimension::Repository, Dimension::Principal, Dimension::Key, Dimension::State];

/// Signatures of one sheet.
pub(super) const SIGNATURES: u64 = 256;

/// No entry.
pub(super) const NONE: u64 = u64::MAX;

/// The place of the state among a signature's codes.
const STATE: usize = 3;

/// Places among a signature's numbers.
const FIRST: usize = 1;
const INTENT: usize = 2;
const HOLDER: usize = 3;
const LAST: usize = 4;

impl<const CODES: usize, const NUMBERS: usize> Row<CODES, NUMBERS> {
    const BYTES: usize = 4 * CODES + 8 + 8 * NUMBERS;
}

/// The bytes of a sheet, with a checksum behind them.
pub(super) fn encode<const C: usize, const N: usize>(rows: &[Row<C, N>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * Row::<C, N>::BYTES + 4);
    for row in rows {
        row.codes.iter().for_each(|code| bytes.extend(code.to_le_bytes()));
        bytes.extend(row.time.to_le_bytes());
        row.numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    }
    seal(bytes)
}

/// # Errors
/// Where these are not the bytes that [`encode`] has made.
pub(super) fn decode<const C: usize, const N: usize>(bytes: &[u8]) -> Result<Vec<Row<C, N>>, SearchFault> {
    let bytes = unseal(bytes)?;
    let rows = bytes.chunks_exact(Row::<C, N>::BYTES);
    if !rows.remainder().is_empty() {
        return Err(SearchFault::damaged("a sheet ends within a row"));
    }
    let read = |row: &[u8]| {
        let (codes, rest) = row.split_at(4 * C);
        let mut words =
            rest.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        let mut read =
            Row { codes: [0; C], time: words.next().unwrap_or_default().cast_signed(), numbers: [0; N] };
        for (code, bytes) in read.codes.iter_mut().zip(codes.chunks_exact(4)) {
            *code = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        for (number, word) in read.numbers.iter_mut().zip(words) {
            *number = word;
        }
        read
    };
    Ok(rows.map(read).collect())
}

/// The bytes with their CRC-32 behind them: a large value that was damaged must not answer anything.
pub(super) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// # Errors
/// Where the sum is another.
pub(super) fn unseal(bytes: &[u8]) -> Result<&[u8], SearchFault> {
    match bytes.split_last_chunk() {
        Some((bytes, sum)) if u32::from_le_bytes(*sum) == crc(bytes) => Ok(bytes),
        _ => Err(SearchFault::damaged("a checksum does not fit")),
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// States in the order of their numbers.
const STATES: [SignatureState; 6] = [
    SignatureState::Pending,
    SignatureState::Signed,
    SignatureState::Attached,
    SignatureState::Missing,
    SignatureState::GivenUp,
    SignatureState::Failed,
];

/// The number of a state.
pub(super) fn state_code(state: SignatureState) -> u32 {
    let place = STATES.iter().position(|each| *each == state);
    place.and_then(|place| u32::try_from(place).ok()).map_or(0, |place| place + 1)
}

impl SignatureRow {
    /// Of a signature of which an entry speaks for the first time.
    pub(super) fn new(codes: [u32; 3], time: i64, digest: u64, index: u64) -> Self {
        let [repository, principal, key] = codes;
        let state = state_code(SignatureState::Pending);
        Self { codes: [repository, principal, key, state], time, numbers: [digest, index, NONE, NONE, index] }
    }

    pub(super) const fn digest(&self) -> u64 {
        self.numbers[0]
    }

    pub(super) const fn first(&self) -> u64 {
        self.numbers[FIRST]
    }

    /// The index of the entry that holds the signature.
    pub(super) fn holder(&self) -> Option<u64> {
        Some(self.numbers[HOLDER]).filter(|index| *index != NONE)
    }

    /// The index of the entry that brought it into its state.
    pub(super) const fn last(&self) -> u64 {
        self.numbers[LAST]
    }

    /// The entries of which [`crate::domain::Record::from_entries`] makes the same record as of all, in their order.
    pub(super) fn telling(&self) -> Vec<u64> {
        let mut indexes: Vec<_> =
            self.numbers[FIRST..].iter().copied().filter(|index| *index != NONE).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }

    pub(super) fn state(&self) -> SignatureState {
        let place = (self.codes[STATE] as usize).checked_sub(1);
        place.and_then(|place| STATES.get(place)).copied().unwrap_or(SignatureState::Pending)
    }

    /// Goes on with an entry, as [`crate::domain::Record::from_entries`] does.
    pub(super) fn take(&mut self, index: u64, event: &Event) {
        let has_one = !matches!(self.state(), SignatureState::Pending | SignatureState::Failed);
        let (state, holds) = match event {
            Event::Intent { .. } if self.state() == SignatureState::Pending => {
                (SignatureState::Pending, false)
            }
            Event::Outcome { result: Outcome::Signed { .. }, .. } => (SignatureState::Signed, true),
            Event::Outcome { result: Outcome::Failed { .. }, .. } => (SignatureState::Failed, false),
            Event::Adopted { .. } => (SignatureState::Attached, true),
            Event::Attach { result, .. } if has_one => match result {
                AttachResult::Attached { .. } => (SignatureState::Attached, false),
                AttachResult::GivenUp { .. } => (SignatureState::GivenUp, false),
                AttachResult::Missing { .. } => (SignatureState::Missing, false),
                // A failed attempt takes nothing away: where it hung before, it may still hang.
                AttachResult::Failed { .. } => return,
            },
            _ => return,
        };
        self.codes[STATE] = state_code(state);
        self.numbers[LAST] = index;
        if holds {
            self.numbers[HOLDER] = index;
        }
    }
}
