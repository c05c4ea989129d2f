//! How much of which budget was used.

use rusqlite::{Connection, Transaction};

use crate::domain::{Digest, Timestamp};
use crate::ports::{Taken, Taking};
use crate::store::uses_row;

/// Records that are forgotten in one transaction.
const STEP: i64 = 1000;

/// Counts the uses where all of their budgets reach.
pub(super) fn take(transaction: &Transaction<'_>, taking: &Taking) -> rusqlite::Result<Taken> {
    let taken = taking.against(|budget| counted(transaction, budget, taking.now()))?;
    if taken != Taken::Yes {
        return Ok(taken);
    }
    let mut count = transaction.prepare_cached(
        "INSERT INTO uses VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
        SET count = count + excluded.count, expires = max(expires, excluded.expires)",
    )?;
    for (budget, uses) in taking.uses() {
        count.execute((budget.as_bytes(), uses.slot, uses.amount, uses.expires.as_microsecond()))?;
    }
    Ok(taken)
}

/// Forgets some of what has expired before `before`; 0 where nothing is left.
pub(super) fn forget(connection: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM uses WHERE (budget, slot) IN
            (SELECT budget, slot FROM uses WHERE expires < ?1 ORDER BY expires LIMIT ?2)",
        )?
        .execute((before.as_microsecond(), STEP))
}

fn counted(
    transaction: &Transaction<'_>,
    budget: Digest,
    now: Timestamp,
) -> rusqlite::Result<Vec<(u32, Timestamp)>> {
    let mut select =
        transaction.prepare_cached("SELECT count, expires FROM uses WHERE budget = ?1 AND expires > ?2")?;
    let rows = select.query_map((budget.as_bytes(), now.as_microsecond()), |row| {
        Ok(uses_row::counted(row.get(0)?, row.get(1)?))
    })?;
    rows.collect()
}
