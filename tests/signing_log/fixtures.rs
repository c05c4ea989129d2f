//! Entries to log, and places to log them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signet::config::{LogBackend, LogConfig};
use signet::domain::{
    Annotations, AttachResult, BatchId, Claim, Digest, Entry, Event, Format, IdSource as _, ImageReference,
    KeyReference, KeyVersion, MatchedClaims, Operation, Outcome, Principal, RandomIds, Reach, Ruling,
    SignatureId, SignatureIdentity, Signing, Timestamp,
};
use signet::log::{GroupCommitLog, Guard};
use signet::metrics::Metrics;
use signet::ports::{
    EntryPage, EntryQuery, LogSearch as _, LoggedEntry, NewEntry, Order, Store, StoreReader, Writes,
};
use signet::store::{self, Opened, StoreError};
use tempfile::TempDir;

use crate::support::postgres;

/// Runs each of the tests over every store. Those over PostgreSQL need the real servers.
macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(crate::fixtures::Place::sqlite()).await;
                }
            )+
        }

        mod on_postgres {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(crate::fixtures::Place::postgres().await).await;
                }
            )+
        }
    };
}

pub(crate) use contract;

/// A log of a test's own.
pub struct Place {
    pub directory: Folder,
    /// The database, where it is not a file in the directory.
    pub url: Option<String>,
}

/// A folder of a test's own, or one that is somebody else's to delete.
pub struct Folder(Result<TempDir, PathBuf>);

impl Folder {
    pub fn path(&self) -> &Path {
        self.0.as_ref().map_or_else(PathBuf::as_path, TempDir::path)
    }
}

impl Place {
    pub fn sqlite() -> Self {
        Self { directory: Folder(tempfile::tempdir().map(Ok).unwrap()), url: None }
    }

    pub async fn postgres() -> Self {
        Self { url: Some(postgres::database().await), ..Self::sqlite() }
    }

    /// Where another process has its log.
    pub const fn at(directory: PathBuf, url: Option<String>) -> Self {
        Self { directory: Folder(Err(directory)), url }
    }

    /// SQLite's file.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("log.sqlite")
    }

    pub fn config(&self) -> LogConfig {
        let sqlite = LogConfig::sqlite(self.path());
        match self.url.clone() {
            None => sqlite,
            Some(url) => {
                LogConfig { backend: LogBackend::Postgres, path: None, url: Some(url.into()), ..sqlite }
            }
        }
    }

    pub fn open(&self) -> Result<Opened, StoreError> {
        store::open(&self.config())
    }

    pub fn store(&self) -> Box<dyn Store> {
        self.open().unwrap_or_else(|error| panic!("{error}")).store
    }

    /// The reading half of a store that somebody else may have open.
    pub fn reader(&self) -> Arc<dyn StoreReader> {
        store::reader(&self.config()).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn log(&self) -> GroupCommitLog {
        GroupCommitLog::start(self.store(), Guard::open(), Arc::new(Metrics::new())).unwrap()
    }

    /// A connection to SQLite's file that knows nothing of Signet.
    pub fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

/// One signature, whose entries can be made in any order.
#[derive(Clone)]
pub struct Story {
    pub id: SignatureId,
    pub batch: BatchId,
    pub second: i64,
    pub principal: String,
    pub repository: String,
    pub digest: Digest,
    pub key: &'static str,
    pub version: u32,
    pub annotations: BTreeMap<String, String>,
}

impl Story {
    pub fn new() -> Self {
        Self {
            id: RandomIds.signature_id(at(0)),
            batch: RandomIds.batch_id(at(0)),
            second: 0,
            principal: "ci".to_owned(),
            repository: "registry.example.com/team/app".to_owned(),
            digest: Digest::of(b"image"),
            key: "release",
            version: 1,
            annotations: BTreeMap::new(),
        }
    }

    pub fn signing(&self) -> Signing {
        Signing {
            id: self.id,
            key: KeyReference {
                name: self.key.parse().unwrap(),
                version: KeyVersion::new(self.version).unwrap(),
                fingerprint: serde_json::from_value(Digest::of(b"key").to_string().into()).unwrap(),
            },
            format: Format::Cosign,
            annotations: Annotations::new(self.annotations.clone()).unwrap(),
            claim: Claim::Image,
            payload: Digest::of(b"payload"),
        }
    }

    pub fn identity(&self) -> SignatureIdentity {
        self.signed().identity().unwrap()
    }

    pub fn refusal(&self) -> Entry {
        self.entry(Event::refusal(Some(self.key.parse().unwrap()), Vec::new()))
    }

    pub fn intent(&self) -> Entry {
        self.entry(Event::Intent { signing: self.signing(), batch: self.batch })
    }

    pub fn signed(&self) -> Entry {
        let result = Outcome::Signed {
            batch: self.batch,
            signature: b"signature".to_vec(),
            signed_at: at(self.second),
            vault_request_id: Some("vault".to_owned()),
        };
        self.entry(Event::Outcome { signing: self.signing(), result })
    }

    pub fn failed(&self) -> Entry {
        let result = Outcome::Failed { code: "vault-sealed".to_owned() };
        self.entry(Event::Outcome { signing: self.signing(), result })
    }

    pub fn attached(&self) -> Entry {
        let result =
            AttachResult::Attached { reference: "registry".to_owned(), manifest: Digest::of(b"manifest") };
        self.entry(Event::Attach { signing: self.signing(), result })
    }

    pub fn not_attached(&self) -> Entry {
        let result = AttachResult::Failed { code: "registry-denied".to_owned() };
        self.entry(Event::Attach { signing: self.signing(), result })
    }

    pub fn adopted(&self) -> Entry {
        self.entry(Event::Adopted {
            signing: self.signing(),
            signature: b"foreign".to_vec(),
            reference: "elsewhere".to_owned(),
            manifest: Digest::of(b"manifest"),
        })
    }

    fn entry(&self, event: Event) -> Entry {
        let image: ImageReference = format!("{}@{}", self.repository, self.digest).parse().unwrap();
        Entry::new(
            at(self.second),
            RandomIds.request_id(),
            &Principal::Token { name: self.principal.clone() },
            Operation::Sign,
            Some((&image).into()),
            Ruling {
                rule: Some("rule".to_owned()),
                policy: Digest::of(b"policy"),
                claims: MatchedClaims::new().into(),
            },
            event,
        )
    }
}

/// A moment, in seconds after the beginning of the tests' time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

/// One entry alone, on its way into a store.
pub fn writes(entry: Entry) -> Writes {
    Writes { entries: vec![NewEntry::try_from(entry).unwrap()], ..Writes::default() }
}

/// Everything, on one page.
pub fn all() -> EntryQuery {
    EntryQuery { limit: EntryQuery::MAX_LIMIT, ..EntryQuery::default() }
}

/// Waits until the search index knows every entry that is in the log now.
pub async fn indexed(log: &GroupCommitLog) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut size = None;
    while Instant::now() < deadline {
        if let Ok(progress) = log.progress().await
            && progress.indexed >= *size.get_or_insert(progress.log_size)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the search index does not follow the log");
}

/// The page that `query` finds when the search index knows what is in the log now.
pub async fn page(log: &GroupCommitLog, query: EntryQuery) -> EntryPage {
    indexed(log).await;
    log.entries(query, Reach::whole()).await.unwrap()
}

/// The entries that `query` finds, on all pages.
pub async fn entries_of(log: &GroupCommitLog, query: EntryQuery) -> Vec<LoggedEntry> {
    entries_within(log, query, Reach::whole()).await
}

/// The entries within `reach` that `query` finds, on all pages: one may end early where it takes long, so that no page has everything for
/// sure.
pub async fn entries_within(log: &GroupCommitLog, mut query: EntryQuery, reach: Reach) -> Vec<LoggedEntry> {
    let mut entries = Vec::new();
    loop {
        indexed(log).await;
        let found = log.entries(query.clone(), reach.clone()).await.unwrap();
        assert!(found.entries.len() <= query.limit, "{query:?}");
        entries.extend(found.entries);
        let Some(next) = found.next else { return entries };
        query = following(query, next, found.size);
    }
}

/// The question for the page after one that answered `next` and `size`.
pub fn following(query: EntryQuery, next: u64, size: u64) -> EntryQuery {
    let place = match query.order {
        Order::OldestFirst => {
            assert!(next > query.after.map_or(0, |after| after + 1), "{query:?}: a page goes on");
            EntryQuery { after: next.checked_sub(1), ..query }
        }
        Order::NewestFirst => {
            assert!(next < query.before.unwrap_or(size), "{query:?}: a page goes on");
            EntryQuery { before: Some(next), ..query }
        }
    };
    EntryQuery { size: Some(size), ..place }
}

/// The same question, with the newest first.
pub fn newest(query: EntryQuery) -> EntryQuery {
    EntryQuery { order: Order::NewestFirst, ..query }
}

pub fn reversed(mut indexes: Vec<u64>) -> Vec<u64> {
    indexes.reverse();
    indexes
}

/// The indexes of the entries that `query` finds, on all pages.
pub async fn indexes(log: &GroupCommitLog, query: EntryQuery) -> Vec<u64> {
    entries_of(log, query).await.iter().map(|entry| entry.index).collect()
}

/// Does what blocks outside of the test's runtime.
pub fn outside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
