//! Questions to the signing log, answered from an index that follows it.

use std::time::Duration;

use async_trait::async_trait;

use super::{LogError, LoggedEntry};
use crate::domain::{
    AttachResult, BatchId, Digest, EntryFilter, KeyName, Operation, Pattern, Reach, Signing, Subject,
    Timestamp,
};

/// What an auditor asks, page by page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryQuery {
    pub filter: EntryFilter,
    pub order: Order,
    /// With the oldest first: entries after this index. The other order does not look at it.
    pub after: Option<u64>,
    /// With the newest first: entries below this index. The other order does not look at it.
    pub before: Option<u64>,
    /// Entries below this index: the size that the first page spoke of, so that pages are stable. The first page speaks of what the index
    /// knows, below `before`.
    pub size: Option<u64>,
    /// At most so many entries, and at most [`EntryQuery::MAX_LIMIT`].
    pub limit: usize,
}

/// Which entries come first. All pages of one order together are those of the other, the other way round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Along ascending indexes.
    #[default]
    OldestFirst,
    /// Along descending indexes.
    NewestFirst,
}

impl EntryQuery {
    /// Entries of one page.
    pub const MAX_LIMIT: usize = 1000;
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPage {
    /// In the order that was asked for.
    pub entries: Vec<LoggedEntry>,
    /// The page, and those that follow, speak of the entries below this index.
    pub size: u64,
    /// Where what this page and those before have looked at meets what is left; `None` where nothing below `size` is left. With the oldest
    /// first, all entries below `next` were looked at, and the next page begins with it: after `next - 1`. With the newest first, all from
    /// `next` on were, and the next page begins below it: before `next`. A page does a bounded amount of work, so it may end before it is
    /// full, also with nothing; and it does not begin with the newest while the index does not know all entries below `size`.
    pub next: Option<u64>,
    pub progress: SearchProgress,
}

/// How far the index has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchProgress {
    /// The size of the log.
    pub log_size: u64,
    /// Every entry below this index can be found.
    pub indexed: u64,
}

/// How far a signature has come, as far as an answer of many tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureState {
    /// An intent without an outcome.
    Pending,
    /// Not known to be attached.
    Signed,
    Attached,
    /// It was attached, and was gone when it was looked at again.
    Missing,
    /// Not attached, and not tried again.
    GivenUp,
    /// No signature came of it.
    Failed,
}

/// Conditions on signatures, combined with "and".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignatureFilter {
    pub digest: Option<Digest>,
    pub repository: Option<Pattern>,
    /// Who asked first.
    pub principal: Option<String>,
    pub key: Option<String>,
    pub key_version: Option<u32>,
    pub state: Option<SignatureState>,
    /// First asked for at this moment or later.
    pub from: Option<Timestamp>,
    /// First asked for before this moment.
    pub to: Option<Timestamp>,
}

/// A question about signatures, page by page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignatureQuery {
    pub filter: SignatureFilter,
    /// Where the page before has ended: its [`SignaturePage::next`].
    pub begin: u64,
    /// Signatures that were first asked for below this index of the log.
    pub size: Option<u64>,
    /// At most so many, and at most [`EntryQuery::MAX_LIMIT`].
    pub limit: usize,
}

/// One signature among many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSignature {
    /// When it was first asked for.
    pub time: Timestamp,
    pub principal: String,
    pub subject: Subject,
    pub signing: Signing,
    pub state: SignatureState,
    /// The index of its first entry.
    pub first: u64,
    /// The index of the entry that holds the signature; none where there is no signature.
    pub holder: Option<u64>,
    /// The call to Vault that was to make it; while it is pending.
    pub batch: Option<BatchId>,
    /// What the entry that brought it into its state says of attaching.
    pub attach: Option<AttachResult>,
    /// Why no signature came of it.
    pub failure: Option<String>,
}

/// One page of signatures, in the order in which they were first asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturePage {
    pub signatures: Vec<ListedSignature>,
    /// The page, and those that follow, speak of the signatures first asked for below this index of the log.
    pub size: u64,
    /// Where the next page begins; none behind the last.
    pub next: Option<u64>,
    pub progress: SearchProgress,
}

/// What entries are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Days of UTC.
    Day,
    /// Months of UTC.
    Month,
    Repository,
    Principal,
    /// With its version.
    Key,
    Kind,
    Operation,
    /// Refusals, and everything else.
    Decision,
    Rule,
}

/// A condition on what entries are counted of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountedOf {
    Repository(Pattern),
    Principal(String),
    Key { name: String, version: Option<u32> },
    Operation(Operation),
    Rule(String),
}

impl CountedOf {
    /// The grouping that goes with the condition. Entries can be counted by this, and by day, month, kind and decision.
    pub const fn grouping(&self) -> Grouping {
        match self {
            Self::Repository(_) => Grouping::Repository,
            Self::Principal(_) => Grouping::Principal,
            Self::Key { .. } => Grouping::Key,
            Self::Operation(_) => Grouping::Operation,
            Self::Rule(_) => Grouping::Rule,
        }
    }
}

impl Grouping {
    /// Whether entries of one condition are counted by this.
    pub fn goes_with(self, of: &CountedOf) -> bool {
        matches!(self, Self::Day | Self::Month | Self::Kind | Self::Decision) || self == of.grouping()
    }
}

/// How many entries there are of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountQuery {
    pub by: Grouping,
    /// Has to go with `by`: see [`Grouping::goes_with`].
    pub of: Option<CountedOf>,
    pub kind: Option<String>,
    /// Refusals alone (true), or everything else (false).
    pub denied: Option<bool>,
    /// From the beginning of this day of UTC, counted from 1970.
    pub from: Option<i64>,
    /// Before the beginning of this day of UTC.
    pub to: Option<i64>,
    /// At most so many groups, the largest ones.
    pub top: usize,
}

impl CountQuery {
    /// Whether a part of the log, by repository, can be counted like this: entries are counted of repositories, and by them, by day, month,
    /// kind and decision.
    pub fn is_of_repositories(&self) -> bool {
        let by_repository = matches!(
            self.by,
            Grouping::Repository | Grouping::Day | Grouping::Month | Grouping::Kind | Grouping::Decision
        );
        by_repository && matches!(self.of, None | Some(CountedOf::Repository(_)))
    }
}

/// Entries of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// What the entries of the group have in common; empty for those that have nothing there.
    pub group: String,
    /// The version, where groups are keys.
    pub key_version: Option<u32>,
    pub entries: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Days and months in their order; other groups the largest first.
    pub groups: Vec<Counted>,
    /// Entries of all groups, also of those that are not named.
    pub entries: u64,
    pub progress: SearchProgress,
}

/// The log, as it can be searched by whoever has that reach: nothing else is found or counted. Every answer says up to where the
/// index has come, and of the whole log.
#[async_trait]
pub trait LogSearch: Send + Sync {
    async fn entries(&self, query: EntryQuery, reach: Reach) -> Result<EntryPage, LogError>;

    async fn signatures(&self, query: SignatureQuery, reach: Reach) -> Result<SignaturePage, LogError>;

    /// # Errors
    /// Also for a part of the log where [`CountQuery::is_of_repositories`] is false.
    async fn counts(&self, query: CountQuery, reach: Reach) -> Result<Counts, LogError>;

    async fn progress(&self) -> Result<SearchProgress, LogError>;

    /// Has the index made again from the entries. The one that is there answers until the new one has come as far.
    fn rebuild(&self);
}

/// What fills the index behind the log. It blocks, and one thread owns it.
pub trait Projector: Send {
    /// Adds some of the entries that the index lacks.
    ///
    /// # Errors
    /// Where that did not succeed; it can be tried again.
    fn step(&mut self) -> Result<Step, LogError>;

    /// Begins to make the index again.
    fn rebuild(&mut self);

    /// How long to wait, at most, before looking whether others have written to the log, and, at least, between two steps that leave nothing
    /// over; none where nobody else can write, and steps cost little.
    fn poll(&self) -> Option<Duration>;
}

/// What one step has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub progress: SearchProgress,
    /// Entries that were added.
    pub added: u64,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// Which signatures are asked for: those of an artifact by any version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturesOf {
    pub subject: Subject,
    pub key: KeyName,
}
