//! What can only be seen from inside: how the writer's connection is set, and what it does when the disk is full.

use super::SqliteStore;
use crate::domain::{
    Digest, Entry, Event, IdSource as _, MatchedClaims, Operation, Principal, RandomIds, Ruling, Timestamp,
};
use crate::ports::{LogError, NewEntry, Store as _, Writes};

#[test]
fn the_writer_synchronises_at_each_commit() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&directory.path().join("log.sqlite")).unwrap();
    let pragma = |store: &mut SqliteStore, name| {
        store
            .connection()
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .unwrap()
    };
    assert_eq!(pragma(&mut store, "synchronous"), 2.into(), "FULL");
    assert_eq!(pragma(&mut store, "journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma(&mut store, "foreign_keys"), 1.into());
}

#[test]
fn a_full_disk_is_an_error_that_leaves_nothing_behind_and_ends_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&directory.path().join("log.sqlite")).unwrap();
    assert_eq!(append(&mut store, 1), Ok(0));
    limit_pages(&mut store, 1); // SQLite takes what is used already.
    let error = append(&mut store, 500).unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(store.reader().entry(1), Ok(None));

    limit_pages(&mut store, 1 << 20);
    assert_eq!(append(&mut store, 500), Ok(1));
    assert_eq!(store.probe(), Ok(()));
}

#[test]
fn a_database_that_turned_read_only_is_an_error_for_entries_and_readiness_and_then_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&directory.path().join("log.sqlite")).unwrap();
    store.connection().pragma_update(None, "query_only", true).unwrap();
    assert!(append(&mut store, 1).is_err());
    assert!(store.probe().is_err());
    store.connection().pragma_update(None, "query_only", false).unwrap();
    assert_eq!(append(&mut store, 1), Ok(0));
}

fn append(store: &mut SqliteStore, count: usize) -> Result<u64, LogError> {
    let entries = vec![entry(); count];
    store.commit(&Writes { entries, ..Writes::default() }).map(|written| written.first)
}

fn limit_pages(store: &mut SqliteStore, pages: i64) {
    store.connection().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
}

fn entry() -> NewEntry {
    let image = format!("registry.example.com/team/app@{}", Digest::of(b"image"));
    Entry::new(
        Timestamp::UNIX_EPOCH,
        RandomIds.request_id(),
        &Principal::Token { name: "ci".to_owned() },
        Operation::Sign,
        Some((&image.parse::<crate::domain::ImageReference>().unwrap()).into()),
        Ruling { rule: None, policy: Digest::of(b"policy"), claims: MatchedClaims::new().into() },
        Event::refusal(None, Vec::new()),
    )
    .try_into()
    .unwrap()
}
