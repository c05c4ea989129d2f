//! What is beside the log and about the whole of it: marks, and how far it is archived.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::size;
use crate::ports::{Extent, Mark, Writes};

/// Entries below `archived.below` are in files and may go; all others stay. The last entry always stays: the log's size is
/// told by it.
pub(super) const STEP: &str = "
    CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE archived (id INTEGER PRIMARY KEY CHECK (id = 1), below INTEGER NOT NULL) STRICT;
    INSERT INTO archived VALUES (1, 0);
    CREATE TRIGGER archived_grows BEFORE UPDATE ON archived
        WHEN NEW.below < OLD.below OR NEW.below > (SELECT coalesce(max(idx), 0) FROM entries)
        BEGIN SELECT RAISE(ABORT, 'what is archived grows, and ends before the last entry'); END;
    CREATE TRIGGER archived_stays BEFORE DELETE ON archived
        BEGIN SELECT RAISE(ABORT, 'what is archived is not forgotten'); END;
    CREATE TRIGGER archived_alone BEFORE INSERT ON archived
        BEGIN SELECT RAISE(ABORT, 'what is archived is told once'); END;
    DROP TRIGGER entries_last;
    CREATE TRIGGER entries_last BEFORE DELETE ON entries
        WHEN OLD.idx >= coalesce((SELECT below FROM archived), 0)
        BEGIN SELECT RAISE(ABORT, 'entries are not deleted that are not archived'); END;
";

/// Entries that go in one transaction.
const PART: u64 = 2048;

/// Sets what `writes` says.
pub(super) fn write(transaction: &Transaction<'_>, writes: &Writes) -> rusqlite::Result<()> {
    for Mark { name, value } in &writes.marks {
        transaction
            .prepare_cached(
                "INSERT INTO marks VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![name, value])?;
    }
    if let Some(below) = writes.archived_below {
        transaction
            .prepare_cached("UPDATE archived SET below = max(below, ?1)")?
            .execute([i64::try_from(below).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

/// Drops some of what is archived.
pub(super) fn drop_some(connection: &mut Connection) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let first = first(&transaction)?;
    let below: i64 = transaction.query_row("SELECT below FROM archived", [], |row| row.get(0))?;
    let end = below.min(first.cast_signed().saturating_add_unsigned(PART));
    let dropped = transaction.execute("DELETE FROM entries WHERE idx < ?1", [end])?;
    transaction.commit()?;
    Ok(dropped)
}

pub(super) fn extent(transaction: &Transaction<'_>) -> rusqlite::Result<Extent> {
    Ok(Extent { first: first(transaction)?, size: size(transaction)?.cast_unsigned() })
}

/// The first entry that is there.
pub(super) fn first(connection: &Connection) -> rusqlite::Result<u64> {
    let first: i64 = connection
        .prepare_cached("SELECT coalesce(min(idx), 0) FROM entries")?
        .query_row([], |row| row.get(0))?;
    Ok(first.cast_unsigned())
}

pub(super) fn mark(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<String>> {
    transaction
        .prepare_cached("SELECT value FROM marks WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn first_open(transaction: &Transaction<'_>) -> rusqlite::Result<Option<u64>> {
    let first: Option<i64> =
        transaction.query_row("SELECT min(idx) FROM deliveries", [], |row| row.get(0))?;
    Ok(first.map(i64::cast_unsigned))
}
