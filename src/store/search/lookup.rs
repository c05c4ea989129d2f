//! What requests ask on their way: by a name, and at once.

use super::dictionary::key_of;
use super::keys::{self, Dimension, Hashed};
use super::sheet::SignatureRow;
use super::signatures::rows;
use super::{Dictionary, Range, SearchFault, View, beginning, is_archived};
use crate::domain::{Entry, SignatureId, SignatureIdentity};
use crate::ports::{LoggedEntry, Order, SignaturesOf};

/// Signatures of one hash that are looked at: there are as many as one image has, or one identity.
const FEW: usize = 10_000;

/// The indexes of the entries that tell a signature's record, in their order; none where it is not known.
pub(in crate::store) fn of_signature(view: &dyn View, id: SignatureId) -> Result<Vec<u64>, SearchFault> {
    let number = view.small(&[keys::signature(id.as_bytes())])?.pop().flatten();
    let Some(number) = number else { return Ok(Vec::new()) };
    let row = rows(view, &[keys::last_u64(&number)?])?.pop();
    Ok(row.as_ref().map(SignatureRow::telling).unwrap_or_default())
}

/// Where the index has the signatures of `identity`, among the small keys; maybe others' as well.
pub(in crate::store) fn range_of(identity: SignatureIdentity) -> Range {
    of_hash(Hashed::Identity, identity.as_bytes())
}

fn of_hash(what: Hashed, hash: &[u8; 32]) -> Range {
    keys::hashed_range(what, beginning(hash), 0, u64::MAX)
}

/// The newest signature of each identity. Beside it stands the newest entry that holds one and that the index may not know yet.
pub(in crate::store) fn of_identities(
    view: &dyn View,
    wanted: &[(SignatureIdentity, Option<u64>)],
) -> Result<Vec<Option<SignatureId>>, SearchFault> {
    let hashes: Vec<_> = wanted.iter().map(|(identity, _)| identity.as_bytes()).collect();
    let known = by_hash(view, Hashed::Identity, &hashes)?;
    let newest = wanted.iter().zip(known).map(|((identity, recent), rows)| {
        let holders = rows.iter().filter_map(SignatureRow::holder).chain(*recent).collect();
        newest(view, *identity, holders)
    });
    newest.collect()
}

/// The signature of `identity` that the last of `holders` holds; other identities may be among theirs.
fn newest(
    view: &dyn View,
    identity: SignatureIdentity,
    mut holders: Vec<u64>,
) -> Result<Option<SignatureId>, SearchFault> {
    holders.sort_unstable();
    while let Some(holder) = holders.pop() {
        let Some(logged) = view.entries(&[holder])?.pop() else {
            is_archived(view, holder)?;
            continue;
        };
        if let Ok(entry) = serde_json::from_slice::<Entry>(&logged.bytes)
            && entry.identity() == Some(identity)
            && let Some(signing) = entry.signing()
        {
            return Ok(Some(signing.id));
        }
    }
    Ok(None)
}

/// The indexes of entries that hold signatures of these, in their order. Others may be among them.
pub(in crate::store) fn of_subject(
    view: &dyn View,
    dictionary: &Dictionary,
    of: &SignaturesOf,
) -> Result<Vec<u64>, SearchFault> {
    let repository = of.subject.repository.as_ref().map(ToString::to_string);
    let repository = match repository {
        None => 0,
        Some(name) => match dictionary.find(Dimension::Repository, &name) {
            Some(code) => code,
            None => return Ok(Vec::new()),
        },
    };
    let is_it = |row: &&SignatureRow| {
        row.codes[0] == repository
            && key_of(dictionary.name(Dimension::Key, row.codes[2])).0 == of.key.as_str()
    };
    let found = by_hash(view, Hashed::SignatureDigest, &[of.subject.digest.as_bytes()])?.concat();
    let mut holders: Vec<_> = found.iter().filter(is_it).filter_map(SignatureRow::holder).collect();
    holders.sort_unstable();
    Ok(holders)
}

/// The entries that tell a record; none where some were archived, as the others may tell another.
pub(in crate::store) fn telling(view: &dyn View, indexes: &[u64]) -> Result<Vec<LoggedEntry>, SearchFault> {
    let entries = view.entries(indexes)?;
    Ok(if entries.len() == indexes.len() { entries } else { Vec::new() })
}

/// The signatures of each hash.
fn by_hash(
    view: &dyn View,
    what: Hashed,
    hashes: &[&[u8; 32]],
) -> Result<Vec<Vec<SignatureRow>>, SearchFault> {
    let ranges: Vec<_> = hashes.iter().map(|hash| of_hash(what, hash)).collect();
    let found = view.ranges(&ranges, FEW, Order::OldestFirst)?.into_iter().map(|keys| {
        let numbers: Vec<_> = keys.iter().map(|(key, _)| keys::last_u64(key)).collect::<Result<_, _>>()?;
        rows(view, &numbers)
    });
    found.collect()
}
