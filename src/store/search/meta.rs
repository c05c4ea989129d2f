//! How far the index has come, and of which log it is.

use super::keys::{Dimension, meta};
use super::{Changes, SearchFault, View};
use crate::domain::Digest;

/// What the index says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Meta {
    /// Made up anew with each index: numbers of the dictionary are of one index.
    pub(in crate::store) generation: u64,
    /// Every entry below this index is in it.
    pub(in crate::store) indexed: u64,
    /// How many signatures it knows.
    pub(super) signatures: u64,
    /// The greatest time up to the last entry, and the greatest distance that any entry stayed behind the greatest one
    /// before it. Both only grow, so a period becomes a range of entries however the writers' clocks were set. In
    /// microseconds.
    pub(super) latest: i64,
    pub(super) lag: i64,
    /// SHA-256 of the last entry: an index whose last entry is this log's is an index of this log.
    pub(in crate::store) last: Digest,
    /// How many names each dimension has.
    pub(super) names: [u32; Dimension::NAMED.len()],
}

impl Meta {
    /// The form of the index. Another one is made again.
    const FORM: u8 = 1;

    const BYTES: usize = 1 + 5 * 8 + 32 + 4 * Dimension::NAMED.len();

    /// Of an index with nothing in it.
    pub(in crate::store) fn new(generation: u64) -> Self {
        Self {
            generation,
            indexed: 0,
            signatures: 0,
            latest: i64::MIN,
            lag: 0,
            last: Digest::of(b""),
            names: [0; Dimension::NAMED.len()],
        }
    }

    /// What the index says; `None` where there is nothing in it.
    pub(in crate::store) fn read(view: &dyn View) -> Result<Option<Self>, SearchFault> {
        let bytes = view.small(&[Self::key()])?.pop().flatten();
        bytes.as_deref().map(Self::from_bytes).transpose()
    }

    /// Whether all entries below `floor` are in the index: those from there on are remembered elsewhere.
    ///
    /// # Errors
    /// Where they are not.
    pub(in crate::store) fn reaches(&self, floor: u64) -> Result<(), SearchFault> {
        if self.indexed >= floor {
            return Ok(());
        }
        let reason =
            format!("the search index is being made, and has come to entry {} of {floor}", self.indexed);
        Err(SearchFault::Failed { reason, transient: false })
    }

    /// Under which small key it is.
    pub(in crate::store) fn key() -> Vec<u8> {
        meta()
    }

    pub(in crate::store) fn write(&self, changes: &mut Changes) {
        changes.small.insert(Self::key(), Some(self.to_bytes()));
    }

    fn to_bytes(&self) -> Vec<u8> {
        let Self { generation, indexed, signatures, latest, lag, last, names } = self;
        let mut bytes = vec![Self::FORM];
        for number in [*generation, *indexed, *signatures, latest.cast_unsigned(), lag.cast_unsigned()] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(last.as_bytes());
        names.iter().for_each(|count| bytes.extend(count.to_be_bytes()));
        bytes
    }

    /// # Errors
    /// Where these are not the bytes that [`Meta::write`] has put there.
    pub(in crate::store) fn from_bytes(bytes: &[u8]) -> Result<Self, SearchFault> {
        let unreadable = || SearchFault::damaged("it does not say how far it has come");
        if bytes.len() != Self::BYTES || bytes[0] != Self::FORM {
            return Err(unreadable());
        }
        let (numbers, rest) = bytes[1..].split_at(40);
        let (last, names) = rest.split_at(32);
        let mut numbers = numbers.chunks_exact(8).map(|bytes| bytes.try_into().map(u64::from_be_bytes));
        let mut number = || numbers.next().and_then(Result::ok).ok_or_else(unreadable);
        let mut meta = Self {
            generation: number()?,
            indexed: number()?,
            signatures: number()?,
            latest: number()?.cast_signed(),
            lag: number()?.cast_signed(),
            last: Digest::from_bytes(last.try_into().map_err(|_| unreadable())?),
            names: [0; Dimension::NAMED.len()],
        };
        for (count, bytes) in meta.names.iter_mut().zip(names.chunks_exact(4)) {
            *count = u32::from_be_bytes(bytes.try_into().map_err(|_| unreadable())?);
        }
        Ok(meta)
    }
}
