//! What the search index does not know yet, in memory.

use std::collections::{HashMap, VecDeque};

use crate::domain::{Digest, Entry, SignatureId, SignatureIdentity};
use crate::ports::NewEntry;
use crate::store::search::Following;

/// By what requests look signatures up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Signature(SignatureId),
    Identity(SignatureIdentity),
    /// Of the artifact.
    Digest(Digest),
}

/// The entries from [`Recent::floor`] on that speak of signatures, by name. As this process alone writes the log, they
/// are all that there are: what is below has to be in the index.
#[derive(Debug, Default)]
pub(super) struct Recent {
    floor: u64,
    entries: VecDeque<(u64, [Option<Name>; 3])>,
    by_name: HashMap<Name, Vec<u64>>,
    /// The last that were written, without gaps.
    written: VecDeque<(u64, NewEntry)>,
}

impl Recent {
    /// Entries that are remembered, some hundred bytes each. Where the index is behind by more, all are forgotten, and
    /// nothing can be looked up until it has come to where they ended.
    pub(super) const LIMIT: usize = 500_000;

    /// Entries that are kept whole, some kilobytes each, so that they need not be read again. Those before them are in the log.
    const WRITTEN: usize = 4096;

    /// Of a log of which nothing is remembered.
    pub(super) fn of_size(size: u64) -> Self {
        Self { floor: size, ..Self::default() }
    }

    /// The index has to know every entry below.
    pub(super) const fn floor(&self) -> u64 {
        self.floor
    }

    /// The indexes of the entries of this name, in their order.
    pub(super) fn of(&self, name: Name) -> Vec<u64> {
        self.by_name.get(&name).cloned().unwrap_or_default()
    }

    /// Remembers entries that have just been committed.
    pub(super) fn add(&mut self, first: u64, entries: &[NewEntry]) {
        if self.entries.len() + entries.len() > Self::LIMIT {
            *self = Self::of_size(first);
        }
        for (index, entry) in (first..).zip(entries) {
            if self.written.len() == Self::WRITTEN {
                self.written.pop_front();
            }
            self.written.push_back((index, entry.clone()));
            let Some(names) = names(entry.entry()) else { continue };
            for name in names.into_iter().flatten() {
                self.by_name.entry(name).or_default().push(index);
            }
            self.entries.push_back((index, names));
        }
    }

    /// The entries from `index` on, as far as they are kept; none where that one is not.
    pub(super) fn written(&self, index: u64) -> Vec<Following> {
        let first = self.written.front().map_or(u64::MAX, |(first, _)| *first);
        let Some(skip) = index.checked_sub(first).and_then(|skip| usize::try_from(skip).ok()) else {
            return Vec::new();
        };
        self.written
            .iter()
            .skip(skip)
            .map(|(index, entry)| Following::Written(*index, entry.clone()))
            .collect()
    }

    /// Forgets the entries below `indexed`, which are in the index.
    pub(super) fn forget(&mut self, indexed: u64) {
        self.floor = self.floor.max(indexed);
        while self.written.front().is_some_and(|(index, _)| *index < indexed) {
            self.written.pop_front();
        }
        while let Some((index, names)) = self.entries.front()
            && *index < indexed
        {
            for name in names.iter().flatten() {
                if let Some(indexes) = self.by_name.get_mut(name) {
                    indexes.retain(|each| each != index);
                    if indexes.is_empty() {
                        self.by_name.remove(name);
                    }
                }
            }
            self.entries.pop_front();
        }
    }
}

/// What an entry is looked up by; none where it speaks of no signature.
fn names(entry: &Entry) -> Option<[Option<Name>; 3]> {
    let (signing, subject) = (entry.signing()?, entry.subject.as_ref()?);
    let identity = entry.identity();
    let digest = identity.map(|_| Name::Digest(subject.digest));
    Some([Some(Name::Signature(signing.id)), identity.map(Name::Identity), digest])
}
