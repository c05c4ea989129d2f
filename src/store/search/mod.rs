//! The index that follows the log, whatever the database. All of it is told by the entries and can be made again from them.
//!
//! Entries, and signatures, lie in *sheets* of rows of one width, in which texts are numbers of a dictionary. Beside
//! them stands which values are on which sheet, so that a question reads the sheets on which something may match,
//! and nothing else. What has as many values as there are entries (digests, names of requests and of signatures) is looked
//! up by the beginning of its hash, and what is found is compared with the entry. Counts lie in *cells*, by day and
//! month.
//!
//! A database offers two ordered maps, [`View`], and takes [`Changes`] in one transaction.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | what a database offers |
//! | `keys` | the keys of both maps |
//! | `meta`, `dictionary`, `sheet`, `cell` | what lies under them |
//! | `project` | one step behind the log |
//! | `planner` | on which sheets something may match |
//! | `entries`, `signatures`, `counts` | questions |
//! | `lookup` | what requests ask on their way |

mod cell;
mod counts;
mod dictionary;
mod entries;
mod keys;
mod lookup;
mod meta;
mod planner;
mod project;
mod sheet;
mod signatures;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use self::counts::counts;
pub(super) use self::dictionary::Dictionary;
pub(super) use self::entries::page;
pub(super) use self::lookup::{of_identities, of_signature, of_subject, range_of, telling};
pub(super) use self::meta::Meta;
pub(super) use self::project::{Following, Standing, archived, project};
pub(super) use self::signatures::page as signatures;
use crate::ports::{LogError, LoggedEntry, Order};

/// Entries that are added in one step.
pub(super) const STEP: usize = 10_000;

/// Bytes of the entries that are read at once, roughly.
pub(super) const STEP_BYTES: usize = 16 * 1024 * 1024;

/// The index, and the log, as they are at one moment.
pub(super) trait View {
    /// The small values under `keys`, in their order.
    fn small(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, SearchFault>;

    /// The keys and values of each range, from its first key to before its last, in the order of the keys or from the greatest down: at most
    /// `limit` each. Either order reads what it gives, and not what is beyond the limit.
    fn ranges(&self, ranges: &[Range], limit: usize, order: Order) -> Result<Vec<Vec<Pair>>, SearchFault>;

    /// The large values under `keys`, in their order.
    fn large(&self, keys: &[i64]) -> Result<Vec<Option<Vec<u8>>>, SearchFault>;

    /// The large values from the first key to the last.
    fn large_range(&self, first: i64, last: i64) -> Result<Vec<(i64, Vec<u8>)>, SearchFault>;

    /// Entries of the log; those that there are, in the order of their indexes, which is that of `indexes`.
    fn entries(&self, indexes: &[u64]) -> Result<Vec<LoggedEntry>, SearchFault>;

    /// The lowest index that the log's store holds: what is below is archived.
    fn first(&self) -> Result<u64, SearchFault>;

    /// Whether the question has taken as long as a page may, so that it ends with what it has.
    fn is_long(&self) -> bool;
}

/// How long a page may take before it ends early, once it has looked at [`LEAST_SHEETS`] and read [`LEAST_ENTRIES`]: where little is in
/// memory, a whole page would take many times that.
pub(in crate::store) const PAGE_TIME: Duration = Duration::from_millis(15);

/// Sheets that a page looks at, however long it takes, where there are so many.
const LEAST_SHEETS: usize = 14;

/// Entries that a page reads, however long it takes, where there are so many.
const LEAST_ENTRIES: usize = 100;

/// The entry `index` is not there.
///
/// # Errors
/// Where it should be, because it is not archived.
pub(super) fn is_archived(view: &dyn View, index: u64) -> Result<(), SearchFault> {
    match view.first()? {
        first if index < first => Ok(()),
        _ => Err(SearchFault::damaged("it knows entries that the log does not have")),
    }
}

/// From the first key to before the last.
pub(super) type Range = (Vec<u8>, Vec<u8>);

/// A key with its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// What is written at once.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// `None` takes a key away.
    pub(super) small: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    pub(super) large: BTreeMap<i64, Vec<u8>>,
}

/// The index can not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SearchFault {
    /// It holds what was never written: it has to be made again.
    #[error("the search index is damaged: {0}")]
    Damaged(String),
    #[error("{reason}")]
    Failed { reason: String, transient: bool },
}

impl SearchFault {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

impl From<SearchFault> for LogError {
    fn from(fault: SearchFault) -> Self {
        Self(fault.to_string())
    }
}

/// The first eight bytes of a hash: what is looked up. What is found is compared in full.
fn beginning(hash: &[u8; 32]) -> u64 {
    let (first, _) = hash.split_first_chunk().expect("invariant: a hash has 32 bytes");
    u64::from_be_bytes(*first)
}
