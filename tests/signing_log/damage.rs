//! A log that is not what it was: what is found, when, and what it says.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use signet::log::{CheckError, GroupCommitLog, Guard, check};
use signet::metrics::Metrics;
use signet::ports::{NewEntry, SignedCheckpoint, SigningLog as _, Transparency as _, Writes};
use signet::tlog::Hash;

use crate::checkpoints::Publishing;
use crate::fixtures::{Place, Story, contract, outside, writes};
use crate::support::notes::LocalNotes;
use crate::support::postgres;

contract! {
    a_whole_log_is_called_whole,
    a_flipped_bit_in_an_old_entry_is_found_by_the_check,
    a_flipped_bit_in_an_old_tile_is_found_by_the_check,
    a_flipped_bit_in_the_head_refuses_to_be_opened,
    a_flipped_bit_in_the_last_tile_refuses_to_be_opened,
    a_flipped_bit_in_the_last_entries_refuses_to_be_opened,
    a_flipped_bit_in_the_checkpoint_refuses_to_be_opened,
    entries_that_are_gone_from_the_end_refuse_to_be_opened,
    an_older_state_than_a_published_checkpoint_refuses_to_be_opened,
    a_database_that_was_set_back_under_a_writer_stops_it_for_good,
    a_database_with_another_history_is_not_signed,
}

/// Larger than a tile of the second level has leaves in one hash.
const ENTRIES: usize = 700;

/// A log with a checkpoint.
async fn filled(place: &Place) {
    let notes = LocalNotes::new();
    let publishing = Publishing::with(place, notes);
    let last = publishing.append(ENTRIES).await;
    publishing.checkpoints.covered(last).await.unwrap();
    let reader = place.reader();
    let stored = async {
        while outside(|| reader.head().unwrap()).1.is_none_or(|stored| stored.head.size < ENTRIES as u64) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stored).await.unwrap();
    publishing.end().await;
}

async fn a_whole_log_is_called_whole(place: Place) {
    filled(&place).await;
    let mut seen = Vec::new();
    let whole = outside(|| check(&*place.reader(), |done, all| seen.push((done, all)))).unwrap();
    assert_eq!(whole.head.size, ENTRIES as u64);
    assert_eq!(whole.checkpoint.unwrap().head, whole.head);
    assert_eq!(seen.last(), Some(&(ENTRIES as u64, ENTRIES as u64)));
}

async fn a_flipped_bit_in_an_old_entry_is_found_by_the_check(place: Place) {
    filled(&place).await;
    place.flip("entries", "bytes", "idx = 300", 40).await;
    assert_eq!(damage(&place), "entry 300 is not the one that was logged");
    place.flip("entries", "bytes", "idx = 300", 40).await;
    assert!(outside(|| check(&*place.reader(), |_, _| ())).is_ok());
}

async fn a_flipped_bit_in_an_old_tile_is_found_by_the_check(place: Place) {
    filled(&place).await;
    place.flip("tiles", "hashes", "level = 0 AND number = 1", 32 * 7 + 5).await;
    assert_eq!(damage(&place), "tile 0/1 is not that of its entries, from its hash 7 on");
    place.flip("tiles", "hashes", "level = 0 AND number = 1", 32 * 7 + 5).await;
    place.flip("tiles", "hashes", "level = 1 AND number = 0", 32).await;
    assert_eq!(damage(&place), "tile 1/0 is not that of its entries, from its hash 1 on");
}

async fn a_flipped_bit_in_the_head_refuses_to_be_opened(place: Place) {
    filled(&place).await;
    for column in ["root", "edge"] {
        place.flip("head", column, "id = 1", 3).await;
        let error = refusal(&place);
        assert!(error.contains("the head of the log is damaged"), "{error}");
        assert!(error.contains("restore the newest backup"), "it says what to do: {error}");
        place.flip("head", column, "id = 1", 3).await;
    }
    let unguarded = if place.url.is_some() { "ALTER TABLE head DISABLE TRIGGER ALL;" } else { "" };
    place.sql(&format!("{unguarded} UPDATE head SET size = size + 1;")).await;
    let error = refusal(&place);
    assert!(error.contains("the head of the log is damaged"), "{error}");
}

async fn a_flipped_bit_in_the_last_tile_refuses_to_be_opened(place: Place) {
    filled(&place).await;
    place.flip("tiles", "hashes", "level = 0 AND number = 2", 1).await;
    let error = refusal(&place);
    assert!(error.contains("its last tiles have another root than its head"), "{error}");
}

async fn a_flipped_bit_in_the_last_entries_refuses_to_be_opened(place: Place) {
    filled(&place).await;
    place.flip("entries", "bytes", "idx = 600", 40).await;
    let error = refusal(&place);
    assert!(error.contains("the entries from 512 on are not those that its tiles speak of"), "{error}");
}

async fn a_flipped_bit_in_the_checkpoint_refuses_to_be_opened(place: Place) {
    filled(&place).await;
    place.flip("checkpoint", "root", "id = 1", 9).await;
    let error = refusal(&place);
    assert!(error.contains("the stored checkpoint is damaged"), "{error}");
    place.flip("checkpoint", "root", "id = 1", 9).await;
    place.sql("UPDATE checkpoint SET size = size - 1").await;
    assert!(refusal(&place).contains("the stored checkpoint is damaged"));
}

async fn entries_that_are_gone_from_the_end_refuse_to_be_opened(place: Place) {
    filled(&place).await;
    let tail = "DELETE FROM entries WHERE idx >= 690";
    place.unprotected(tail).await;
    let error = refusal(&place);
    assert!(
        error.contains("its head speaks of 700 entries, there are 690: the last ones are missing"),
        "{error}"
    );
    assert_eq!(damage(&place), "entry 690 is missing");
}

/// All of the database is consistent, and too old.
async fn an_older_state_than_a_published_checkpoint_refuses_to_be_opened(place: Place) {
    let root = Hash::of_leaf(b"what was lost");
    let head = signet::tlog::TreeHead { size: 9, root };
    let checkpoint = SignedCheckpoint { head, note: format!("log\n9\n{root}\n\n— log signature\n") };
    let entries = vec![NewEntry::try_from(Story::new().signed()).unwrap(); 4];
    let older = Writes { entries, checkpoint: Some(checkpoint), ..Writes::default() };
    outside(|| place.store().commit(&older).unwrap());
    let error = refusal(&place);
    assert!(error.contains("a checkpoint of 9 entries was published, and its head speaks of 4"), "{error}");
}

async fn a_database_that_was_set_back_under_a_writer_stops_it_for_good(place: Place) {
    let guard = Guard::open();
    let log =
        GroupCommitLog::start(outside(|| place.store()), guard.clone(), Arc::new(Metrics::new())).unwrap();
    log.append(vec![Story::new().intent(); 300]).await.unwrap();
    let old = outside(|| place.reader().head().unwrap().0);
    let edge = place.value("SELECT edge FROM head").await;
    log.append(vec![Story::new().intent(); 100]).await.unwrap();

    place.set_back(&old, &edge).await;
    let error = log.append(vec![Story::new().intent()]).await.unwrap_err().to_string();
    assert!(error.contains("this process has last left 400"), "{error}");
    assert!(error.contains("Nothing is written any more"), "{error}");
    assert_eq!(guard.check().unwrap_err().to_string(), log.ready().await.unwrap_err().to_string());
    let others = join_all((0..3).map(|_| log.append(vec![Story::new().intent()]))).await;
    assert!(others.iter().all(Result::is_err), "for good");
    assert_eq!(outside(|| place.reader().head().unwrap().0), old, "nothing was written");
}

/// Readiness notices as well, where nobody writes.
#[tokio::test]
async fn a_database_that_was_set_back_is_noticed_where_nobody_writes() {
    let place = Place::sqlite();
    let log = place.log();
    log.append(vec![Story::new().intent(); 3]).await.unwrap();
    log.ready().await.unwrap();
    drop(log);
    std::fs::copy(place.path(), place.directory.path().join("backup")).unwrap();

    let log = place.log();
    log.append(vec![Story::new().intent(); 3]).await.unwrap();
    // As `sqlite3 log.sqlite ".restore backup"` does.
    let mut raw = place.raw();
    raw.restore("main", place.directory.path().join("backup"), None::<fn(rusqlite::backup::Progress)>)
        .unwrap();
    let error = log.ready().await.unwrap_err().to_string();
    assert!(error.contains("the log has 3 entries") && error.contains("last left 6"), "{error}");
    assert!(log.append(vec![Story::new().intent()]).await.is_err());
}

/// The history forks at an entry that a published checkpoint speaks of.
async fn a_database_with_another_history_is_not_signed(place: Place) {
    let publishing = Publishing::at(&place);
    let last = publishing.append(10).await;
    publishing.checkpoints.covered(last).await.unwrap();
    let before = publishing.head().await;

    let elsewhere = if place.url.is_some() { Place::postgres().await } else { Place::sqlite() };
    for _ in 0..30 {
        let fork = Story { second: 5, ..Story::new() };
        outside(|| elsewhere.store().commit(&writes(fork.intent())).unwrap());
    }
    let other = outside(|| elsewhere.reader().head().unwrap().0);
    let edge = elsewhere.value("SELECT edge FROM head").await;
    let tile = elsewhere.value("SELECT hashes FROM tiles WHERE level = 0 AND number = 0").await;
    place.replace_tree(&other, &edge, &tile).await;

    assert!(publishing.checkpoints.covered(20).await.is_err(), "it is not signed");
    assert_eq!(publishing.head().await, before, "what was published stays");
    let error = publishing.log.append(vec![Story::new().intent()]).await.unwrap_err().to_string();
    assert!(error.contains("othing is written any more"), "{error}");
}

/// What the check of the whole log finds.
fn damage(place: &Place) -> String {
    match outside(|| check(&*place.reader(), |_, _| ())) {
        Err(CheckError::Damaged(damage)) => damage,
        other => panic!("{other:?}"),
    }
}

/// Why the log can not be opened.
fn refusal(place: &Place) -> String {
    outside(|| match place.open() {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was opened"),
    })
}

/// What whoever can write the database can do.
impl Place {
    pub async fn sql(&self, sql: &str) {
        match &self.url {
            None => self.raw().execute_batch(sql).unwrap(),
            Some(url) => postgres::connect(url).await.batch_execute(sql).await.unwrap(),
        }
    }

    pub async fn value(&self, sql: &str) -> Vec<u8> {
        match &self.url {
            None => self.raw().query_row(sql, [], |row| row.get(0)).unwrap(),
            Some(url) => postgres::connect(url).await.query_one(sql, &[]).await.unwrap().get(0),
        }
    }

    /// Past the triggers.
    async fn unprotected(&self, sql: &str) {
        match &self.url {
            None => {
                let off = "DROP TRIGGER entries_stay; DROP TRIGGER entries_last;";
                self.sql(&format!("{off} {sql}")).await;
            }
            Some(_) => {
                let (off, on) = ("DISABLE TRIGGER ALL", "ENABLE ALWAYS TRIGGER entries_stay");
                self.sql(&format!("ALTER TABLE entries {off}; {sql}; ALTER TABLE entries {on};")).await;
            }
        }
    }

    /// Flips the lowest bit of a byte.
    async fn flip(&self, table: &str, column: &str, place: &str, byte: usize) {
        let mut value = self.value(&format!("SELECT {column} FROM {table} WHERE {place}")).await;
        value[byte] ^= 1;
        let value = self.literal(&value);
        let sql = format!("UPDATE {table} SET {column} = {value} WHERE {place}");
        match (table, &self.url) {
            ("entries", None) => {
                // Dropped triggers stay away, which the next flip must not mind.
                self.sql("DROP TRIGGER IF EXISTS entries_stay").await;
                self.sql(&sql).await;
            }
            ("entries", Some(_)) => self.unprotected(&sql).await,
            _ => self.sql(&sql).await,
        }
    }

    pub fn literal(&self, bytes: &[u8]) -> String {
        let hex = hex::encode(bytes);
        if self.url.is_some() { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") }
    }

    /// Makes the log what it was at an earlier size, entries and tiles included.
    async fn set_back(&self, head: &signet::tlog::TreeHead, edge: &[u8]) {
        let signet::tlog::TreeHead { size, root } = head;
        let (root, edge) = (self.literal(root.as_bytes()), self.literal(edge));
        self.unprotected(&format!(
            "DELETE FROM entries WHERE idx >= {size};
             UPDATE head SET size = {size}, root = {root}, edge = {edge};"
        ))
        .await;
    }

    /// Puts another tree over entries that are not its own.
    async fn replace_tree(&self, head: &signet::tlog::TreeHead, edge: &[u8], tile: &[u8]) {
        let signet::tlog::TreeHead { size, root } = head;
        let (root, edge, tile) = (self.literal(root.as_bytes()), self.literal(edge), self.literal(tile));
        self.sql(&format!(
            "UPDATE head SET size = {size}, root = {root}, edge = {edge};
             UPDATE tiles SET hashes = {tile} WHERE level = 0 AND number = 0;"
        ))
        .await;
    }
}
