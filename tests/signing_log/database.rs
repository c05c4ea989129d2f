//! The database file itself, looked at from outside.

use signet::ports::{DeliveryChange, Outbox as _, Parcel, SigningLog as _, Stage};
use signet::store::{SqliteStore, StoreError};

use crate::fixtures::{Place, Story, all, at, indexes, writes};

#[tokio::test]
async fn an_entry_is_in_the_database_when_append_returns() {
    let place = Place::sqlite();
    let log = place.log();
    let entry = Story::new().intent();
    let index = log.append(vec![entry.clone()]).await.unwrap();
    let bytes: Vec<u8> = place
        .raw()
        .query_row("SELECT bytes FROM entries WHERE idx = ?1", [index.cast_signed()], |row| row.get(0))
        .unwrap();
    assert_eq!(bytes, entry.to_bytes());
    assert_eq!(log.entry(index).await.unwrap().unwrap().bytes, bytes);
}

/// The file and its write-ahead log, copied while the writer is at work, are what a crash leaves behind.
#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let place = Place::sqlite();
    let log = place.log();
    for _ in 0..20 {
        log.append(vec![Story::new().intent(), Story::new().intent()]).await.unwrap();
    }
    let after = Place::sqlite();
    for suffix in ["", "-wal"] {
        let name = format!("log.sqlite{suffix}");
        std::fs::copy(place.directory.path().join(&name), after.directory.path().join(&name)).unwrap();
    }
    assert_eq!(indexes(&after.log(), all()).await, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn indexes_go_on_without_a_gap_when_the_log_is_opened_again() {
    let place = Place::sqlite();
    for first in [0, 3, 6] {
        let log = place.log();
        assert_eq!(log.append(vec![Story::new().intent(); 3]).await, Ok(first));
        log.close().await.unwrap();
    }
    assert_eq!(indexes(&place.log(), all()).await, (0..9).collect::<Vec<_>>());
}

#[tokio::test]
async fn closing_leaves_one_file_with_everything_in_it() {
    let place = Place::sqlite();
    let log = place.log();
    log.append(vec![Story::new().intent()]).await.unwrap();
    log.close().await.unwrap();
    let wal = std::fs::metadata(place.directory.path().join("log.sqlite-wal")).map_or(0, |file| file.len());
    assert_eq!(wal, 0);
    assert_eq!(indexes(&log, all()).await, [0], "reading goes on");
}

#[tokio::test]
async fn entries_can_not_be_changed_deleted_replaced_or_put_elsewhere() {
    let place = Place::sqlite();
    place.log().append(vec![Story::new().intent(); 3]).await.unwrap();
    let raw = place.raw();
    for sql in [
        "UPDATE entries SET bytes = x'00' WHERE idx = 1",
        "UPDATE entries SET idx = 9 WHERE idx = 2",
        "DELETE FROM entries WHERE idx = 2",
        "DELETE FROM entries",
        "INSERT OR REPLACE INTO entries VALUES (1, x'00')",
        "INSERT INTO entries VALUES (4, x'00')",
        "INSERT INTO entries VALUES (-1, x'00')",
        "INSERT INTO entries VALUES (3, x'')",
        "INSERT INTO entries VALUES (3, zeroblob(65536))",
    ] {
        assert!(raw.execute(sql, []).is_err(), "{sql}");
    }
}

#[test]
fn a_second_writer_is_refused_until_the_first_has_gone() {
    let place = Place::sqlite();
    let first = place.store();
    let error = SqliteStore::open(&place.path()).err().unwrap();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    let link = place.directory.path().join("link");
    std::os::unix::fs::symlink(place.path(), &link).unwrap();
    assert!(matches!(SqliteStore::open(&link), Err(StoreError::InUse { .. })), "by another name");
    drop(first);
    place.store();
}

#[tokio::test]
async fn a_database_that_is_moved_away_takes_no_more_entries_until_it_is_back() {
    let place = Place::sqlite();
    let log = place.log();
    log.append(vec![Story::new().intent()]).await.unwrap();
    let away = place.directory.path().join("away");
    std::fs::rename(place.path(), &away).unwrap();
    assert!(log.append(vec![Story::new().intent()]).await.is_err());
    std::fs::write(place.path(), "another file").unwrap();
    assert!(log.append(vec![Story::new().intent()]).await.is_err());
    assert!(log.ready().await.is_err());
    std::fs::rename(&away, place.path()).unwrap();
    assert_eq!(log.append(vec![Story::new().intent()]).await, Ok(1));
}

/// Whoever held it has ended: nobody has to wait until its time is over.
#[tokio::test]
async fn what_is_not_attached_yet_is_due_when_the_log_is_opened_again() {
    let place = Place::sqlite();
    let (waiting, attached) = (Story::new(), Story::new());
    let log = place.log();
    for story in [&waiting, &attached] {
        let parcel = Parcel { document: "payload".into(), replace: false };
        let changes = vec![DeliveryChange::Add { entry: 0, parcel, due: at(0) }];
        log.commit(vec![story.signed()], changes).await.unwrap();
    }
    let later =
        DeliveryChange::Postpone { id: attached.id, stage: Stage::LookAgain(0), attempts: 0, due: at(60) };
    log.commit(Vec::new(), vec![later]).await.unwrap();
    assert_eq!(log.take_due(at(10), at(50), 9).await.unwrap().len(), 1);
    drop(log);

    let log = place.log();
    let due = log.take_due(at(10), at(50), 9).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].entry.signing().unwrap().id, waiting.id);
    assert_eq!(log.delivery(attached.id).await.unwrap().unwrap().due, at(60));
}

#[tokio::test]
async fn a_delivery_that_can_not_be_read_does_not_hold_up_the_others() {
    let place = Place::sqlite();
    let log = place.log();
    let stories = [Story::new(), Story::new()];
    for story in &stories {
        let parcel = Parcel { document: "payload".into(), replace: false };
        let changes = vec![DeliveryChange::Add { entry: 0, parcel, due: at(0) }];
        log.commit(vec![story.signed()], changes).await.unwrap();
    }
    let damage = "UPDATE deliveries SET stage = 9999 WHERE id = ?1";
    place.raw().execute(damage, [stories[0].id.as_bytes()]).unwrap();
    let due = log.take_due(at(10), at(50), 9).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].entry.signing().unwrap().id, stories[1].id);
    log.commit(Vec::new(), vec![DeliveryChange::Settle { id: stories[1].id }]).await.unwrap();
    assert!(log.take_due(at(60), at(70), 9).await.unwrap_err().to_string().contains("stage"));
}

#[test]
fn only_the_owner_may_read_what_the_store_writes() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::sqlite();
    let mut store = place.store();
    store.commit(&writes(Story::new().intent())).unwrap();
    let mut names = Vec::new();
    for file in std::fs::read_dir(place.directory.path()).unwrap().map(Result::unwrap) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    let expected =
        ["log.sqlite", "log.sqlite-shm", "log.sqlite-wal", "log.sqlite.lock", "log.sqlite.search-a"];
    assert_eq!(names, expected);
}

#[test]
fn a_database_that_can_not_be_used_is_refused_with_a_reason() {
    let newer = Place::sqlite();
    drop(newer.store());
    newer.raw().pragma_update(None, "user_version", 99).unwrap();
    let foreign = Place::sqlite();
    foreign.raw().execute_batch("CREATE TABLE notes (text)").unwrap();
    let text = Place::sqlite();
    std::fs::write(text.path(), "these are notes, not a database").unwrap();
    let missing = Place::sqlite();
    std::fs::remove_dir(missing.directory.path()).unwrap();

    for (place, reason) in [
        (newer, "schema version 99, this Signet knows versions up to"),
        (foreign, "the database of another program"),
        (text, "file is not a database"),
        (missing, "its directory does not exist"),
    ] {
        let error = SqliteStore::open(&place.path()).err().unwrap().to_string();
        assert!(error.contains(reason) && error.contains("log.sqlite"), "{error}");
    }
}
