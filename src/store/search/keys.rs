//! The keys of both maps. Numbers are big-endian, so that keys are ordered as what they stand for.

use super::{Range, SearchFault};

/// What rows say in numbers of the dictionary. Number 0 stands for what an entry does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Dimension {
    Kind,
    Operation,
    Repository,
    Principal,
    /// A name, a line feed and a version, which may be empty.
    Key,
    Rule,
    /// Of signatures: numbers of [`super::sheet::state_code`].
    State,
    /// Of cells: everything together.
    All,
}

impl Dimension {
    /// Those that have names.
    pub(super) const NAMED: [Self; 6] =
        [Self::Kind, Self::Operation, Self::Repository, Self::Principal, Self::Key, Self::Rule];
}

/// The two sorts of sheets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Sheets {
    Entries,
    Signatures,
}

/// What is found by a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Hashed {
    /// The digest of an entry's artifact; leads to the entry's index.
    EntryDigest,
    /// The name of an entry's request; likewise.
    Request,
    /// An identity; leads to the signature's number.
    Identity,
    /// The digest of a signature's artifact; likewise.
    SignatureDigest,
}

const META: u8 = b'm';
const NAME: u8 = b'n';
const BOUND: u8 = b'b';
const PRESENCE: u8 = b'p';
const SIGNATURE: u8 = b's';
const HASHED: u8 = b'h';

pub(super) fn meta() -> Vec<u8> {
    vec![META]
}

pub(super) fn name(dimension: Dimension, code: u32) -> Vec<u8> {
    [&[NAME, dimension as u8][..], &code.to_be_bytes()].concat()
}

/// Up to when the entries of a sheet, and all before them, reach.
pub(super) fn bound(sheet: u32) -> Vec<u8> {
    [&[BOUND][..], &sheet.to_be_bytes()].concat()
}

/// That a value is on a sheet.
pub(super) fn presence(sheets: Sheets, dimension: Dimension, code: u32, sheet: u32) -> Vec<u8> {
    [&[PRESENCE, sheets as u8, dimension as u8][..], &code.to_be_bytes(), &sheet.to_be_bytes()].concat()
}

/// The number of a signature.
pub(super) fn signature(id: &[u8; 16]) -> Vec<u8> {
    [&[SIGNATURE][..], id].concat()
}

pub(super) fn hashed(what: Hashed, beginning: u64, number: u64) -> Vec<u8> {
    [&[HASHED, what as u8][..], &beginning.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// The keys of all that a hash leads to, from one number to before another.
pub(super) fn hashed_range(what: Hashed, beginning: u64, from: u64, to: u64) -> Range {
    (hashed(what, beginning, from), hashed(what, beginning, to))
}

/// The number at the end of a key.
pub(super) fn last_u64(key: &[u8]) -> Result<u64, SearchFault> {
    let (_, last) = key.split_last_chunk().ok_or_else(|| SearchFault::damaged("a key is too short"))?;
    Ok(u64::from_be_bytes(*last))
}

/// The sheet at the end of a key.
pub(super) fn last_u32(key: &[u8]) -> Result<u32, SearchFault> {
    let (_, last) = key.split_last_chunk().ok_or_else(|| SearchFault::damaged("a key is too short"))?;
    Ok(u32::from_be_bytes(*last))
}

/// The key of a sheet, among the large values.
pub(super) const fn sheet(sheets: Sheets, number: u32) -> i64 {
    ((sheets as i64 + 1) << 56) | number as i64
}

/// A stretch of time of which cells count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Period {
    /// Since 1970.
    Day(i32),
    /// Since January 1970.
    Month(i32),
}

/// The key of a cell, among the large values: of one dimension, period and chunk of numbers.
pub(super) const fn cell(dimension: Dimension, period: Period, chunk: u32) -> i64 {
    let (unit, number) = match period {
        Period::Day(day) => (0, day),
        Period::Month(month) => (1, month),
    };
    // Years have at most four digits: 26 bits hold the days around 1970.
    let number = (number as i64 + (1 << 25)) & ((1 << 26) - 1);
    (3 << 56) | ((dimension as i64) << 52) | (unit << 51) | (number << 25) | (chunk as i64 & ((1 << 25) - 1))
}

/// The period and the chunk of a cell's key.
pub(super) const fn of_cell(key: i64) -> (Period, u32) {
    let number = (((key >> 25) & ((1 << 26) - 1)) - (1 << 25)) as i32;
    let chunk = (key & ((1 << 25) - 1)) as u32;
    let period = if (key >> 51) & 1 == 0 { Period::Day(number) } else { Period::Month(number) };
    (period, chunk)
}
