//! Counts of one period, by value and kind.

use std::collections::BTreeMap;

use super::SearchFault;
use super::sheet::{seal, unseal};

/// Numbers of the dictionary that one cell counts of.
pub(super) const CHUNK: u32 = 128;

/// Kinds that a cell tells apart. There are fewer.
const KINDS: u32 = 32;

/// How many entries there are of each number of a chunk and each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell(BTreeMap<u16, u32>);

impl Cell {
    pub(super) fn add(&mut self, code: u32, kind: u32, entries: u32) {
        let slot = (code % CHUNK) * KINDS + kind.min(KINDS - 1);
        let count = self.0.entry(u16::try_from(slot).unwrap_or(u16::MAX)).or_default();
        *count = count.saturating_add(entries);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (slot, entries) in &other.0 {
            let count = self.0.entry(*slot).or_default();
            *count = count.saturating_add(*entries);
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(6 * self.0.len() + 4);
        for (slot, entries) in &self.0 {
            bytes.extend(slot.to_le_bytes());
            bytes.extend(entries.to_le_bytes());
        }
        seal(bytes)
    }

    /// # Errors
    /// Where these are not the bytes that [`Cell::encode`] has made.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SearchFault> {
        let mut cell = Self::default();
        each(bytes, 0, |code, kind, entries| cell.add(code, kind, entries))?;
        Ok(cell)
    }
}

/// Calls `with` for each number, kind and count of the cell of `chunk`, without making the cell.
pub(super) fn each(bytes: &[u8], chunk: u32, mut with: impl FnMut(u32, u32, u32)) -> Result<(), SearchFault> {
    let counts = unseal(bytes)?.chunks_exact(6);
    if !counts.remainder().is_empty() {
        return Err(SearchFault::damaged("a cell ends within a count"));
    }
    for count in counts {
        let slot = u32::from(u16::from_le_bytes([count[0], count[1]]));
        let entries = u32::from_le_bytes([count[2], count[3], count[4], count[5]]);
        with(chunk * CHUNK + slot / KINDS, slot % KINDS, entries);
    }
    Ok(())
}
