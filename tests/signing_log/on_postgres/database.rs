//! The tables themselves, looked at from outside.

use signet::ports::SigningLog as _;
use tokio_postgres::Client;

use crate::fixtures::{Place, Story, outside};
use crate::support::postgres;

#[tokio::test]
async fn entries_can_not_be_changed_deleted_truncated_or_put_elsewhere() {
    let place = Place::postgres().await;
    place.log().append(vec![Story::new().intent(); 3]).await.unwrap();
    let raw = raw(&place).await;
    for role in ["origin", "replica"] {
        raw.batch_execute(&format!("SET session_replication_role = {role}")).await.unwrap();
        for sql in [
            "UPDATE entries SET bytes = '\\x00' WHERE idx = 1",
            "DELETE FROM entries WHERE idx = 2",
            "DELETE FROM entries",
            "TRUNCATE entries",
            "INSERT INTO entries VALUES (1, '\\x00') ON CONFLICT (idx) DO UPDATE SET bytes = excluded.bytes",
            "INSERT INTO entries VALUES (3, '\\x00')",
            "INSERT INTO entries VALUES (4, '\\x00')",
            "INSERT INTO entries VALUES (-1, '\\x00')",
            "WITH claimed AS (UPDATE head SET size = 4) INSERT INTO entries VALUES (3, '')",
            "BEGIN; UPDATE head SET size = 5; INSERT INTO entries VALUES (4, '\\x00'); COMMIT",
            "BEGIN; UPDATE head SET size = 6; INSERT INTO entries VALUES (3, '\\x00'), (5, '\\x00'); COMMIT",
        ] {
            assert!(raw.batch_execute(sql).await.is_err(), "{role}: {sql}");
            raw.batch_execute("ROLLBACK").await.unwrap();
        }
    }
    assert_eq!(place.log().append(vec![Story::new().intent()]).await, Ok(3));
}

#[tokio::test]
async fn a_commit_is_synchronous_whatever_the_default_and_stays_stronger_where_it_is() {
    for (default, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        let place = Place::postgres().await;
        drop(place.store());
        let raw = raw(&place).await;
        let watch = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = {default}', current_database()); END $$;
            CREATE TABLE seen (setting text);
            CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
            CREATE TRIGGER see AFTER INSERT ON entries FOR EACH STATEMENT EXECUTE FUNCTION see()"
        );
        raw.batch_execute(&watch).await.unwrap();
        place.log().append(vec![Story::new().intent()]).await.unwrap();
        let seen: String = raw.query_one("SELECT setting FROM seen", &[]).await.unwrap().get(0);
        assert_eq!(seen, expected, "by default it is {default}");
    }
}

#[tokio::test]
async fn a_database_that_can_not_be_used_is_refused_with_a_reason_and_without_the_password() {
    let newer = Place::postgres().await;
    drop(newer.store());
    raw(&newer).await.batch_execute("UPDATE signet_schema SET version = 99").await.unwrap();
    let foreign = Place::postgres().await;
    raw(&foreign).await.batch_execute("CREATE TABLE entries (text text)").await.unwrap();
    let place = Place::postgres().await;
    let url = place.url.clone().unwrap();
    let (server, database) = url.rsplit_once('/').unwrap();
    let other = |url: String| Place { url: Some(url), ..Place::sqlite() };
    let missing = other(format!("{server}/nowhere"));
    let (user, host) = server.split_once('@').unwrap();
    let password = user.rsplit_once(':').unwrap().1;
    let stranger = other(format!("postgres://signet:hunter2@{host}/{database}"));
    let unreachable = other(format!("postgres://signet:{password}@127.0.0.1:1/{database}"));
    let remote = other(format!("postgres://signet:{password}@db.example.com/{database}?sslmode=disable"));

    for (place, reason) in [
        (newer, "schema version 99, this Signet knows versions up to"),
        (foreign, "tables of another program"),
        (missing, "database \"nowhere\" does not exist"),
        (stranger, "password authentication failed"),
        (unreachable, "Connection refused"),
        (remote, "log.allow_plaintext"),
    ] {
        let error = place.open().map(drop).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}\n  should say {reason}");
        for said in [error.to_string(), format!("{error:?} {:?}", place.config())] {
            assert!(!said.contains(password) && !said.contains("hunter2"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connection_knows_of_the_tables_may_change_under_it() {
    let place = Place::postgres().await;
    let log = place.log();
    let reader = place.reader();
    let raw = raw(&place).await;
    for (size, note) in (1..).zip(["varchar", "text"]) {
        for _ in 0..3 {
            outside(|| reader.head()).unwrap();
        }
        // What was planned before gives another type now.
        raw.batch_execute(&format!("ALTER TABLE checkpoint ALTER note TYPE {note}")).await.unwrap();
        log.append(vec![Story::new().intent()]).await.unwrap();
        assert_eq!(outside(|| reader.head()).unwrap().0.size, size);
    }
}

async fn raw(place: &Place) -> Client {
    postgres::connect(place.url.as_ref().unwrap()).await
}
