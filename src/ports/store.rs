use std::sync::Arc;

use super::{
    ArchivedVersion, CountQuery, Counts, Delivery, DeliveryChange, EntryPage, EntryQuery, Extent,
    IdempotencyId, KeptAnswer, LogError, LoggedEntry, Mark, Projector, Recalled, SearchProgress, Session,
    SessionChange, SessionId, SessionOpening, SignaturePage, SignatureQuery, SignaturesOf, SignedCheckpoint,
    Taken, Taking, Waiting,
};
use crate::domain::{Digest, Entry, KeyName, Reach, SignatureId, SignatureIdentity, Timestamp};
use crate::tlog::{Hash, TileId, TreeHead};

/// An entry on its way into the log, with the exact bytes that will be kept. Cloning shares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry(Arc<Encoded>);

#[derive(Debug, PartialEq, Eq)]
struct Encoded {
    entry: Entry,
    bytes: Vec<u8>,
    leaf: Hash,
}

/// What one transaction makes durable: all of it, or nothing.
#[derive(Debug, Default)]
pub struct Writes {
    pub entries: Vec<NewEntry>,
    /// In their order. The place of a [`DeliveryChange::Add`] counts from the first of `entries`, and an outcome
    /// is there. A delivery that is there already is not added again.
    pub changes: Vec<DeliveryChange>,
    /// In their order, before `answers`.
    pub bindings: Vec<Binding>,
    pub answers: Vec<(IdempotencyId, KeptAnswer)>,
    pub archived: Vec<ArchivedVersion>,
    /// In their order: a later one finds what the earlier ones took.
    pub takings: Vec<Taking>,
    /// In their order. The content of each is at most [`Session::MAX_BYTES`].
    pub sessions: Vec<SessionChange>,
    /// In their order; the last of a name counts.
    pub marks: Vec<Mark>,
    /// All entries below this index are in files from now on, and may be dropped. It never becomes less.
    pub archived_below: Option<u64>,
    /// The newest that was published. Only the largest is kept.
    pub checkpoint: Option<SignedCheckpoint>,
}

/// A caller's key that is to stand for a request, unless it stands for one already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub id: IdempotencyId,
    pub request: Digest,
    pub now: Timestamp,
}

/// What a transaction found while it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The index of the first entry; without entries, the size of the log.
    pub first: u64,
    /// The tree that the entries were added to, and the tree with them.
    pub before: TreeHead,
    pub head: TreeHead,
    /// For each of [`Writes::bindings`].
    pub recalled: Vec<Recalled>,
    /// For each of [`Writes::answers`], the one that is kept.
    pub kept: Vec<KeptAnswer>,
    /// For each of [`Writes::takings`].
    pub taken: Vec<Taken>,
    /// For each [`SessionChange::Open`] of [`Writes::sessions`].
    pub opened: Vec<SessionOpening>,
}

/// Where everything durable is kept: the writing half. It blocks, and it is owned by the log's writer thread,
/// so that a store has one writer in this process and needs no locks of its own.
pub trait Store: Send {
    /// Makes `writes` durable in one transaction: they survive the loss of power. Entries come after what the
    /// store holds; their indexes count from 0, without gaps, whoever else writes. The tree over them, its tiles and its
    /// head, grows in the same transaction.
    ///
    /// # Errors
    /// Where they are not durable as far as the store can tell. Then readers see none of them, and the next call
    /// begins afresh.
    fn commit(&mut self, writes: &Writes) -> Result<Written, LogError>;

    /// [`super::Outbox::take_due`], by name. Fewer than `limit` where the documents are large: about
    /// [`Writes::DOCUMENT_BYTES`] at once.
    fn take_due(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<SignatureId>, LogError>;

    /// [`super::Idempotency::forget`], a part at a time: what is left when this returns 0 is nothing.
    fn forget(&mut self, before: Timestamp) -> Result<u64, LogError>;

    /// [`super::Quotas::forget_uses`], a part at a time, likewise.
    fn forget_uses(&mut self, before: Timestamp) -> Result<u64, LogError>;

    /// [`super::Sessions::forget_sessions`], a part at a time, likewise.
    fn forget_sessions(&mut self, now: Timestamp, idle_since: Timestamp) -> Result<u64, LogError>;

    /// Drops entries below what is archived, with what is derived from them, a part at a time: what is left when this
    /// returns 0 is nothing.
    fn drop_archived(&mut self) -> Result<u64, LogError>;

    /// Makes something durable that is no entry.
    ///
    /// # Errors
    /// What [`Store::commit`] would meet.
    fn probe(&mut self) -> Result<(), LogError>;

    /// The log's name: the one that was settled before, else `wanted`, which is durable from now on.
    ///
    /// # Errors
    /// Where it can not be read or written.
    fn settle_origin(&mut self, wanted: &str) -> Result<String, LogError>;

    /// The tree that this process has last seen to be durable.
    fn head(&self) -> TreeHead;

    /// Whether the log is still the one that this process has opened and written.
    ///
    /// # Errors
    /// Where a commit or a probe has found another, or an older state of it. Then nothing is written any more.
    fn verdict(&self) -> Result<(), LogError>;

    /// Leaves the store in its tidiest state. Nothing is written afterwards.
    ///
    /// # Errors
    /// Where it could not be tidied up; what was written is durable all the same.
    fn close(&mut self) -> Result<(), LogError>;

    /// The reading half, for any number of threads.
    fn reader(&self) -> Arc<dyn StoreReader>;

    /// What fills the search index behind the log.
    fn projector(&self) -> Box<dyn Projector>;
}

/// The reading half of a [`Store`]. It blocks. Each answer is of one moment, at which everything that
/// [`Store::commit`] has returned is seen.
pub trait StoreReader: Send + Sync {
    /// How many questions it answers at once; more would wait for each other.
    fn width(&self) -> usize;

    fn entry(&self, index: u64) -> Result<Option<LoggedEntry>, LogError>;

    /// Entries from `first` on, without gaps: at most `limit`, and fewer where they are large.
    fn entries(&self, first: u64, limit: usize) -> Result<Vec<LoggedEntry>, LogError>;

    /// The tree that is durable, and the newest checkpoint that is.
    fn head(&self) -> Result<(TreeHead, Option<SignedCheckpoint>), LogError>;

    /// For each of `tiles`, all hashes that it has by now, side by side; none where there is no such tile.
    fn tiles(&self, tiles: &[TileId]) -> Result<Vec<Option<Vec<u8>>>, LogError>;

    /// [`super::LogRange::extent`].
    fn extent(&self) -> Result<Extent, LogError>;

    /// [`super::Marks::mark`].
    fn mark(&self, name: &str) -> Result<Option<String>, LogError>;

    /// The lowest index that a delivery speaks of which is not settled; none where there is none.
    fn first_open(&self) -> Result<Option<u64>, LogError>;

    /// What tells the record of one signature, oldest first: all of its entries, or those of which
    /// [`crate::domain::Record::from_entries`] makes the same.
    ///
    /// # Errors
    /// Also while the search index is being made for the first time, or after it was lost.
    fn of_signature(&self, id: SignatureId) -> Result<Vec<LoggedEntry>, LogError>;

    /// For each of `identities`, [`StoreReader::of_signature`] of its newest signature. Most have none, and those cost next to nothing
    /// beside the question.
    fn of_identities(&self, identities: &[SignatureIdentity]) -> Result<Vec<Vec<LoggedEntry>>, LogError>;

    /// The entries that hold signatures of these, oldest first. There may be others among them.
    fn of_subject(&self, of: &SignaturesOf) -> Result<Vec<LoggedEntry>, LogError>;

    /// At most [`EntryQuery::MAX_LIMIT`] entries, and fewer where they are large. The index may be behind the log.
    fn query(&self, query: &EntryQuery, reach: &Reach) -> Result<EntryPage, LogError>;

    fn signatures(&self, query: &SignatureQuery, reach: &Reach) -> Result<SignaturePage, LogError>;

    fn counts(&self, query: &CountQuery, reach: &Reach) -> Result<Counts, LogError>;

    fn progress(&self) -> Result<SearchProgress, LogError>;

    fn delivery(&self, id: SignatureId) -> Result<Option<Delivery>, LogError>;

    fn waiting(&self) -> Result<Waiting, LogError>;

    /// [`super::KeyArchive::versions`].
    fn archived(&self, key: &KeyName) -> Result<Vec<ArchivedVersion>, LogError>;

    /// [`super::Sessions::session`].
    fn session(&self, id: SessionId) -> Result<Option<Session>, LogError>;
}

impl Writes {
    /// Bytes of documents, roughly, that are written or taken at once: the next transaction must not wait for all
    /// that is on its way.
    pub const DOCUMENT_BYTES: usize = 32 * 1024 * 1024;

    /// Bytes of the documents among the changes, and of the sessions' contents.
    pub fn document_bytes(&self) -> usize {
        let added = self.changes.iter().map(|change| match change {
            DeliveryChange::Add { parcel, .. } => parcel.document.len(),
            DeliveryChange::Postpone { .. } | DeliveryChange::Settle { .. } => 0,
        });
        added.chain(self.sessions.iter().map(SessionChange::bytes)).sum()
    }

    /// How many sessions are to be opened.
    pub fn openings(&self) -> usize {
        self.sessions.iter().filter(|change| matches!(change, SessionChange::Open { .. })).count()
    }

    pub fn is_empty(&self) -> bool {
        let Self {
            entries,
            changes,
            bindings,
            answers,
            archived,
            takings,
            sessions,
            marks,
            archived_below,
            checkpoint,
        } = self;
        entries.is_empty()
            && changes.is_empty()
            && bindings.is_empty()
            && answers.is_empty()
            && archived.is_empty()
            && takings.is_empty()
            && sessions.is_empty()
            && marks.is_empty()
            && archived_below.is_none()
            && checkpoint.is_none()
    }

    /// Adds `other` behind what is there.
    pub fn append(&mut self, mut other: Self) {
        let offset = self.entries.len();
        self.entries.append(&mut other.entries);
        self.changes.extend(other.changes.into_iter().map(|change| match change {
            DeliveryChange::Add { entry, parcel, due } => {
                DeliveryChange::Add { entry: entry + offset, parcel, due }
            }
            change => change,
        }));
        self.bindings.append(&mut other.bindings);
        self.answers.append(&mut other.answers);
        self.archived.append(&mut other.archived);
        self.takings.append(&mut other.takings);
        self.sessions.append(&mut other.sessions);
        self.marks.append(&mut other.marks);
        self.archived_below = self.archived_below.max(other.archived_below);
        self.checkpoint = other.checkpoint.or(self.checkpoint.take());
    }

    /// The signature of the outcome at `place`.
    ///
    /// # Errors
    /// Where there is none, which [`Writes::changes`] rules out.
    pub fn outcome(&self, place: usize) -> Result<SignatureId, LogError> {
        let entry = self.entries.get(place).and_then(|entry| entry.entry().signing());
        entry
            .map(|signing| signing.id)
            .ok_or_else(|| LogError(format!("there is no outcome at place {place} of the commit")))
    }
}

impl NewEntry {
    /// Bytes of one entry. Bundles of entries carry lengths in 16 bits.
    /// <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md#log-entries>
    pub const MAX_BYTES: usize = 65_535;

    pub fn entry(&self) -> &Entry {
        &self.0.entry
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The hash of the bytes in the tree.
    pub fn leaf(&self) -> Hash {
        self.0.leaf
    }
}

impl TryFrom<Entry> for NewEntry {
    type Error = LogError;

    /// # Errors
    /// Where the entry has more than [`NewEntry::MAX_BYTES`].
    fn try_from(entry: Entry) -> Result<Self, LogError> {
        let bytes = entry.to_bytes();
        if bytes.len() > Self::MAX_BYTES {
            return Err(LogError(format!(
                "an entry has at most {} bytes, this one has {}",
                Self::MAX_BYTES,
                bytes.len()
            )));
        }
        let leaf = Hash::of_leaf(&bytes);
        Ok(Self(Arc::new(Encoded { entry, bytes, leaf })))
    }
}
