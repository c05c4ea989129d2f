//! Which entries of the log are asked for.

use std::collections::BTreeMap;

use super::{Digest, Entry, Operation, Pattern, Timestamp};

/// Conditions on entries, combined with "and"; none at all asks for every entry.
///
/// What a search answers from its indexes and what a verifier filters out of a whole log by itself mean the same: this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Of the artifact.
    pub digest: Option<Digest>,
    /// With its host; `*` and `**` as in policies.
    pub repository: Option<Pattern>,
    /// As entries name it.
    pub principal: Option<String>,
    pub key: Option<String>,
    pub key_version: Option<u32>,
    /// One of [`Entry::KINDS`].
    pub kind: Option<String>,
    pub operation: Option<Operation>,
    /// The id of the rule that decided.
    pub rule: Option<String>,
    /// The name of one request.
    pub request_id: Option<String>,
    /// Refusals alone (true), or everything else (false).
    pub denied: Option<bool>,
    /// At this moment or later.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
}

impl EntryFilter {
    /// The conditions by name, in words.
    pub fn words(&self) -> BTreeMap<String, String> {
        let Self {
            digest,
            repository,
            principal,
            key,
            key_version,
            kind,
            operation,
            rule,
            request_id,
            denied,
            from,
            to,
        } = self;
        let words = [
            ("digest", digest.map(|digest| digest.to_string())),
            ("repository", repository.as_ref().map(|pattern| pattern.as_str().to_owned())),
            ("principal", principal.clone()),
            ("key", key.clone()),
            ("key_version", key_version.map(|version| version.to_string())),
            ("kind", kind.clone()),
            ("operation", operation.map(|operation| operation.to_string())),
            ("rule", rule.clone()),
            ("request_id", request_id.clone()),
            ("decision", denied.map(|denied| if denied { "deny" } else { "allow" }.to_owned())),
            ("from", from.map(|from| from.to_string())),
            ("to", to.map(|to| to.to_string())),
        ];
        words.into_iter().filter_map(|(name, word)| Some((name.to_owned(), word?))).collect()
    }

    /// Whether `entry` meets every condition.
    pub fn matches(&self, entry: &Entry) -> bool {
        let Self {
            digest,
            repository,
            principal,
            key,
            key_version,
            kind,
            operation,
            rule,
            request_id,
            denied,
            from,
            to,
        } = self;
        let subject = entry.subject.as_ref();
        let within =
            |pattern: &Pattern| entry.repository().is_some_and(|name| pattern.matches(&name.to_string()));
        is(digest.as_ref(), |digest| subject.is_some_and(|subject| subject.digest == *digest))
            && is(repository.as_ref(), within)
            && is(principal.as_deref(), |principal| entry.principal == principal)
            && is(key.as_deref(), |key| entry.key().is_some_and(|name| name.as_str() == key))
            && is(*key_version, |n| entry.key_version().is_some_and(|version| version.get() == n))
            && is(kind.as_deref(), |kind| entry.kind() == kind)
            && is(*operation, |operation| entry.operation == Some(operation))
            && is(rule.as_deref(), |rule| entry.rule() == Some(rule))
            && is(request_id.as_deref(), |id| {
                entry.request_id.as_ref().is_some_and(|name| name.as_str() == id)
            })
            && is(*denied, |denied| (entry.refusals() > 0) == denied)
            && is(*from, |from| entry.time >= from)
            && is(*to, |to| entry.time < to)
    }
}

/// Whether a condition that there may be is met.
fn is<T>(condition: Option<T>, met: impl FnOnce(T) -> bool) -> bool {
    condition.is_none_or(met)
}
