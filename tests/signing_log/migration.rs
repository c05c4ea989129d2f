//! Databases of older Signets.

use signet::ports::SigningLog as _;
use signet::store::SqliteStore;

use crate::fixtures::{Place, Story, all, indexes, writes};

/// What the first released version wrote.
const FIRST: &str = "
    CREATE TABLE entries (
        idx INTEGER PRIMARY KEY,
        bytes BLOB NOT NULL CHECK (length(bytes) BETWEEN 1 AND 65535)
    ) STRICT;
    CREATE TRIGGER entries_follow BEFORE INSERT ON entries
        WHEN NEW.idx <> (SELECT coalesce(max(idx) + 1, 0) FROM entries)
        BEGIN SELECT RAISE(ABORT, 'an entry has the index after the last one'); END;
    CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
        BEGIN SELECT RAISE(ABORT, 'entries are not changed'); END;
    CREATE TRIGGER entries_last BEFORE DELETE ON entries
        BEGIN SELECT RAISE(ABORT, 'entries are not deleted'); END;
    CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
    CREATE TABLE search (
        idx INTEGER PRIMARY KEY REFERENCES entries (idx),
        time INTEGER NOT NULL,
        latest INTEGER NOT NULL,
        lag INTEGER NOT NULL,
        kind TEXT NOT NULL,
        operation TEXT NOT NULL,
        repository TEXT NOT NULL,
        digest BLOB NOT NULL,
        principal TEXT NOT NULL,
        key TEXT,
        key_version INTEGER,
        signature_id BLOB,
        identity BLOB
    ) STRICT;
    CREATE INDEX search_kind ON search (kind);
    CREATE INDEX search_repository ON search (repository);
    CREATE INDEX search_digest ON search (digest);
    CREATE INDEX search_principal ON search (principal);
    CREATE INDEX search_key ON search (key, key_version) WHERE key IS NOT NULL;
    CREATE INDEX search_signature ON search (signature_id) WHERE signature_id IS NOT NULL;
    CREATE INDEX search_identity ON search (identity) WHERE identity IS NOT NULL;
    PRAGMA application_id = 1397311310;
    PRAGMA user_version = 1;
";

#[tokio::test]
async fn a_log_of_the_first_version_goes_on_with_everything_in_it() {
    let place = Place::sqlite();
    let story = Story::new();
    let entries = [story.intent(), story.signed(), story.attached()];
    let raw = place.raw();
    raw.execute_batch(FIRST).unwrap();
    for (index, entry) in (0i64..).zip(&entries) {
        raw.execute("INSERT INTO entries VALUES (?1, ?2)", (index, entry.to_bytes())).unwrap();
    }
    drop(raw);

    let log = place.log();
    assert_eq!(indexes(&log, all()).await, [0, 1, 2]);
    assert_eq!(log.entry(1).await.unwrap().unwrap().bytes, entries[1].to_bytes());
    assert!(log.find(story.identity()).await.unwrap().is_some());
    let mut file = Story::new().intent();
    file.subject.as_mut().unwrap().repository = None;
    assert_eq!(log.append(vec![file]).await, Ok(3), "what belongs to no repository fits in");
    drop(log);
    assert_eq!(version(&place), version(&fresh()));
    assert_eq!(schema(&place), schema(&fresh()), "as in a new database");
}

/// A step that is cut off leaves the database as it was.
#[test]
fn a_migration_is_done_as_a_whole_or_not_at_all() {
    let place = Place::sqlite();
    place.raw().execute_batch(FIRST).unwrap();
    place.raw().execute_batch("CREATE TABLE idempotency (in_the_way)").unwrap();
    let before = schema(&place);
    assert!(SqliteStore::open(&place.path()).is_err());
    assert_eq!((version(&place), schema(&place)), (1, before));

    place.raw().execute_batch("DROP TABLE idempotency").unwrap();
    assert_eq!(place.store().commit(&writes(Story::new().intent())).unwrap().first, 0);
    assert_eq!(version(&place), version(&fresh()));
}

fn fresh() -> Place {
    let place = Place::sqlite();
    drop(place.store());
    place
}

fn version(place: &Place) -> i64 {
    place.raw().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// Every table, index and trigger, as it was made.
fn schema(place: &Place) -> Vec<String> {
    let raw = place.raw();
    let mut statement =
        raw.prepare("SELECT name || coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
    let words = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    statement.query_map([], |row| row.get(0).map(words)).unwrap().map(Result::unwrap).collect()
}
