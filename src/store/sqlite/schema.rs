//! What the database looks like.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, retention, sessions};

/// Tells our databases from those of other programs. <https://www.sqlite.org/pragma.html#pragma_application_id>
const APPLICATION: i64 = 0x5349_474e; // "SIGN"

/// What leads from each version to the next; the first, from nothing. A step that has been released stays as it is.
/// The search index is not here: it has a file of its own (see the module `index`).
const STEPS: [&str; 8] =
    [FIRST, SECOND, THIRD, FOURTH, SEARCH_APART, retention::STEP, ORIGIN, sessions::STEP];

/// `entries` is the log: appended to, never changed. The triggers hold that against everything that goes through
/// SQL, `REPLACE` included, which deletes without firing a trigger for it.
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
";

/// What is not the log. `search` is made again, because its `repository` may now be empty. Documents lie apart
/// from their deliveries, whose rows change often, and in parts, so that none is ever held twice to be written.
/// Times are microseconds since 1970; a stage is 0 for "attach", and n + 1 for "look again" number n.
const SECOND: &str = "
    DROP TABLE IF EXISTS search;
    CREATE TABLE deliveries (
        id BLOB PRIMARY KEY,
        idx INTEGER NOT NULL REFERENCES entries (idx),
        replaces INTEGER NOT NULL,
        stage INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        due INTEGER NOT NULL,
        size INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deliveries_due ON deliveries (due);
    CREATE TABLE documents (
        id BLOB NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
        part INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        UNIQUE (id, part)
    ) STRICT;
    CREATE TABLE idempotency (
        principal TEXT NOT NULL,
        key TEXT NOT NULL,
        request BLOB NOT NULL,
        first_used INTEGER NOT NULL,
        status INTEGER,
        body BLOB,
        location TEXT,
        PRIMARY KEY (principal, key)
    ) STRICT;
    CREATE INDEX idempotency_first_used ON idempotency (first_used);
    CREATE TABLE archived_keys (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        fingerprint BLOB NOT NULL,
        pem TEXT NOT NULL,
        created_at TEXT NOT NULL,
        UNIQUE (key, version, fingerprint)
    ) STRICT;
";

/// How much of which budget was used: each slot of a budget counts until it expires, in microseconds since 1970.
const THIRD: &str = "
    CREATE TABLE uses (
        budget BLOB NOT NULL,
        slot INTEGER NOT NULL,
        count INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (budget, slot)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX uses_expires ON uses (expires);
";

/// The tree over the entries. `head` has one row, and so has `checkpoint` as soon as one was published. A tile is a row that
/// grows until it has 256 hashes. What was there before is hashed by the module `tree`, until `head` is complete.
const FOURTH: &str = "
    CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        size INTEGER NOT NULL,
        root BLOB NOT NULL CHECK (length(root) = 32),
        edge BLOB NOT NULL,
        complete INTEGER NOT NULL
    ) STRICT;
    INSERT INTO head SELECT 1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', x'',
        NOT EXISTS (SELECT 1 FROM entries);
    CREATE TABLE tiles (
        level INTEGER NOT NULL,
        number INTEGER NOT NULL,
        hashes BLOB NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192),
        UNIQUE (level, number)
    ) STRICT;
    CREATE TABLE checkpoint (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        size INTEGER NOT NULL,
        root BLOB NOT NULL CHECK (length(root) = 32),
        note TEXT NOT NULL
    ) STRICT;
";

/// The search index has left for a file of its own.
const SEARCH_APART: &str = "DROP TABLE IF EXISTS search;";

/// The log's name, which stays.
const ORIGIN: &str = "
    CREATE TABLE origin (id INTEGER PRIMARY KEY CHECK (id = 1), origin TEXT NOT NULL) STRICT;
    CREATE TRIGGER origin_stays BEFORE UPDATE ON origin
        BEGIN SELECT RAISE(ABORT, 'the name of a log is not changed'); END;
";

/// Makes the tables of an empty database, brings those of an older Signet up to date, and refuses those of others.
///
/// # Errors
/// [`StoreError::Foreign`] and [`StoreError::Newer`], and what SQLite says.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sqlite = |source| StoreError::Sqlite { path: path.to_owned(), source };
    let pragma = |connection: &Connection, name| connection.pragma_query_value(None, name, |row| row.get(0));

    let application: i64 = pragma(connection, "application_id").map_err(sqlite)?;
    let version: i64 = pragma(connection, "user_version").map_err(sqlite)?;
    let known = STEPS.len().cast_signed() as i64;
    let done = match (application, version) {
        (APPLICATION, found) if found > known => {
            return Err(StoreError::Newer { path: path.to_owned(), found, known });
        }
        (APPLICATION, found) => usize::try_from(found).unwrap_or(0),
        (0, 0) if is_empty(connection).map_err(sqlite)? => 0,
        _ => return Err(StoreError::Foreign { path: path.to_owned() }),
    };
    match STEPS.get(done..) {
        None | Some([]) => Ok(()),
        Some(steps) => go(connection, steps, known).map_err(sqlite),
    }
}

/// All or nothing: a crash leaves the database as it was, and the next start tries again.
fn go(connection: &mut Connection, steps: &[&str], version: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}
