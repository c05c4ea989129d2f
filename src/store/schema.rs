//! What the database looks like.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Tells our databases from those of other programs. <https://www.sqlite.org/pragma.html#pragma_application_id>
const APPLICATION: i64 = 0x5349_474e; // "SIGN"

/// The version of [`TABLES`].
pub(super) const VERSION: i64 = 1;

/// `entries` is the log: appended to, never changed. The triggers hold that against everything that goes through
/// SQL, `REPLACE` included, which deletes without firing a trigger for it. `search` is a projection of it.
const TABLES: &str = "
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
";

/// Makes the tables of an empty database, and refuses those of others.
///
/// # Errors
/// [`StoreError::Foreign`] and [`StoreError::Newer`], and what SQLite says.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sqlite = |source| StoreError::Sqlite { path: path.to_owned(), source };
    let pragma = |connection: &Connection, name| connection.pragma_query_value(None, name, |row| row.get(0));

    let application: i64 = pragma(connection, "application_id").map_err(sqlite)?;
    let version: i64 = pragma(connection, "user_version").map_err(sqlite)?;
    match (application, version) {
        (APPLICATION, VERSION) => return Ok(()),
        (APPLICATION, found) => {
            return Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION });
        }
        (0, 0) if is_empty(connection).map_err(sqlite)? => {}
        _ => return Err(StoreError::Foreign { path: path.to_owned() }),
    }
    create(connection).map_err(sqlite)
}

/// All or nothing: a crash leaves an empty database, which is prepared again.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}
