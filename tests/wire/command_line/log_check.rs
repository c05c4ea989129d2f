//! `signet log check`: the database of a log, held against itself.

use rusqlite::Connection;

use super::{Ended, Signet};
use crate::support::World;

async fn check(world: &World) -> Ended {
    Signet::of(world).run(&["log", "check", "--config", "signet.toml"]).await
}

#[tokio::test]
async fn a_log_is_whole_while_it_is_written_and_one_wrong_bit_is_found() {
    let mut world = World::start().await;
    for _ in 0..2 {
        let image = world.push_image().await;
        assert_eq!(world.sign_image(&image).await.status, 201);
    }
    let whole = check(&world).await;
    assert_eq!(whole.code, 0, "{whole:?}");
    assert!(whole.stdout.starts_with("the log is whole: ") && whole.stdout.contains("verifies"), "{whole:?}");
    world.signet.terminate();
    world.signet.wait().await;

    let database = Connection::open(world.directory.path().join("signet.db")).unwrap();
    database.execute_batch("DROP TRIGGER entries_stay").unwrap();
    let swap = |table: &str, column: &str, from: &str, to: &str| {
        let sql = format!(
            "UPDATE {table} SET {column} = CAST(replace(CAST({column} AS TEXT), ?1, ?2) AS BLOB)
                WHERE instr(CAST({column} AS TEXT), ?1) > 0"
        );
        // A text stays a text.
        let sql = if column == "note" { sql.replace("AS BLOB", "AS TEXT") } else { sql };
        assert!(database.execute(&sql, [from, to]).unwrap() > 0, "{table}");
    };
    for (table, column, from, to) in [
        ("entries", "bytes", "\"outcome\"", "\"outcomf\""),
        // The note's signature line begins with a dash.
        ("checkpoint", "note", "\u{2014} signet", "\u{2014} signeu"),
    ] {
        swap(table, column, from, to);
        let damaged = check(&world).await;
        assert_eq!(damaged.code, 1, "{table}: {damaged:?}");
        assert!(damaged.stderr.contains("damaged"), "{table}: {damaged:?}");
        swap(table, column, to, from);
        assert_eq!(check(&world).await.code, 0, "{table}, mended");
    }
}
