//! The columns that questions are asked of, whatever the database. All of it is told by the entries.

use crate::domain::{Digest, Entry, KeyName, KeyVersion, SignatureId, SignatureIdentity};

/// What one entry says. Times are microseconds since 1970.
pub(super) struct SearchRow<'a> {
    pub(super) time: i64,
    /// The greatest `time` up to the entry.
    pub(super) latest: i64,
    /// The greatest distance that any entry up to it stayed behind its `latest`.
    pub(super) lag: i64,
    pub(super) kind: &'static str,
    pub(super) operation: String,
    pub(super) repository: Option<String>,
    pub(super) digest: Option<Digest>,
    pub(super) principal: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) key_version: Option<u32>,
    pub(super) signature: Option<SignatureId>,
    pub(super) identity: Option<SignatureIdentity>,
}

/// How far time has come, entry by entry.
///
/// `latest` and `lag` only grow, so a period becomes a range of indexes without an index over `time`, and however
/// the clocks of the writers were set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline {
    pub(super) latest: i64,
    pub(super) lag: i64,
}

impl Timeline {
    /// Before the first entry.
    pub(super) const START: Self = Self { latest: i64::MIN, lag: 0 };

    /// The row of the next entry.
    pub(super) fn row<'a>(&mut self, entry: &'a Entry) -> SearchRow<'a> {
        let time = entry.time.as_microsecond();
        self.latest = self.latest.max(time);
        self.lag = self.lag.max(self.latest - time);
        SearchRow {
            time,
            latest: self.latest,
            lag: self.lag,
            kind: entry.kind(),
            operation: entry.operation.map(|operation| operation.to_string()).unwrap_or_default(),
            repository: entry.repository().map(ToString::to_string),
            digest: entry.subject.as_ref().map(|subject| subject.digest),
            principal: &entry.principal,
            key: entry.key().map(KeyName::as_str),
            key_version: entry.key_version().map(KeyVersion::get),
            signature: entry.signing().map(|signing| signing.id),
            identity: entry.identity(),
        }
    }
}
