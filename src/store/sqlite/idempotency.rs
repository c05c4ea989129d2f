//! Callers' own keys.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::domain::Timestamp;
use crate::ports::{Binding, IdempotencyId, KeptAnswer, Recalled};
use crate::store::idempotency_row::{IdempotencyRow, answer};

/// Keys that are forgotten in one transaction.
const STEP: usize = 1000;

/// Binds a key to its request, unless it is bound already.
pub(super) fn bind(transaction: &Transaction<'_>, binding: &Binding) -> rusqlite::Result<Recalled> {
    let Binding { id, request, now } = binding;
    let bound = transaction
        .prepare_cached(
            "INSERT INTO idempotency (principal, key, request, first_used) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO NOTHING",
        )?
        .execute(params![id.principal, id.key, request.as_bytes(), now.as_microsecond()])?;
    if bound == 1 {
        return Ok(Recalled::New);
    }
    Ok(row(transaction, id)?.map_or(Recalled::New, |row| row.recalled(*request)))
}

/// Keeps the answer of a key that has none yet, and says which one is kept.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    id: &IdempotencyId,
    answer: &KeptAnswer,
) -> rusqlite::Result<KeptAnswer> {
    transaction
        .prepare_cached(
            "UPDATE idempotency SET status = ?3, body = ?4, location = ?5
            WHERE principal = ?1 AND key = ?2 AND status IS NULL",
        )?
        .execute(params![id.principal, id.key, answer.status, answer.body, answer.location])?;
    // A key that has been forgotten keeps nothing, and its first answer is this one.
    Ok(row(transaction, id)?.and_then(|row| row.answer).unwrap_or_else(|| answer.clone()))
}

/// Forgets some of what was first used before `before`; 0 where nothing is left.
pub(super) fn forget(connection: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM idempotency WHERE rowid IN
            (SELECT rowid FROM idempotency WHERE first_used < ?1 ORDER BY first_used LIMIT ?2)",
        )?
        .execute((before.as_microsecond(), i64::try_from(STEP).unwrap_or(i64::MAX)))
}

fn row(transaction: &Transaction<'_>, id: &IdempotencyId) -> rusqlite::Result<Option<IdempotencyRow>> {
    transaction
        .prepare_cached(
            "SELECT request, status, body, location FROM idempotency WHERE principal = ?1 AND key = ?2",
        )?
        .query_row((&id.principal, &id.key), parse)
        .optional()
}

fn parse(row: &Row<'_>) -> rusqlite::Result<IdempotencyRow> {
    let answer = answer(row.get(1)?, row.get(2)?, row.get(3)?);
    let answer = answer.map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Integer, error.into())
    })?;
    Ok(IdempotencyRow { request: row.get(0)?, answer })
}
