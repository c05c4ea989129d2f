//! Signatures on their way.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::domain::{Content, SignatureId, Timestamp};
use crate::ports::{DeliveryChange, Parcel, Stage, Waiting, Writes};
use crate::store::delivery_row::{DeliveryRow, parts, stage_number};

/// Bytes of one part of a document. SQLite copies each row that it writes.
const PART: usize = 256 * 1024;

/// Makes one change, within the transaction that adds its entry to the log.
pub(super) fn change(
    transaction: &Transaction<'_>,
    first: i64,
    writes: &Writes,
    change: &DeliveryChange,
) -> rusqlite::Result<()> {
    match change {
        DeliveryChange::Add { entry, parcel, due } => {
            let id = writes
                .outcome(*entry)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            add(transaction, id, first.saturating_add_unsigned(*entry as u64), parcel, *due)
        }
        DeliveryChange::Postpone { id, stage, attempts, due } => transaction
            .prepare_cached("UPDATE deliveries SET stage = ?2, attempts = ?3, due = ?4 WHERE id = ?1")?
            .execute((id.as_bytes(), stage_number(*stage), attempts, due.as_microsecond()))
            .map(drop),
        DeliveryChange::Settle { id } => transaction
            .prepare_cached("DELETE FROM deliveries WHERE id = ?1")?
            .execute([id.as_bytes()])
            .map(drop),
    }
}

fn add(
    transaction: &Transaction<'_>,
    id: SignatureId,
    index: i64,
    parcel: &Parcel,
    due: Timestamp,
) -> rusqlite::Result<()> {
    let added = transaction
        .prepare_cached("INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6) ON CONFLICT DO NOTHING")?
        .execute(params![
            id.as_bytes(),
            index,
            parcel.replace,
            stage_number(Stage::Attach),
            due.as_microsecond(),
            i64::try_from(parcel.document.len()).unwrap_or(i64::MAX),
        ])?;
    if added == 0 {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached("INSERT INTO documents VALUES (?1, ?2, ?3)")?;
    for (number, part) in parts(&parcel.document, PART).enumerate() {
        insert.execute(params![id.as_bytes(), i64::try_from(number).unwrap_or(i64::MAX), &part[..]])?;
    }
    Ok(())
}

/// What is due at `now`, put off until `until`. Nothing is written where nothing is due.
pub(super) fn take_due(
    connection: &mut Connection,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<SignatureId>> {
    let ids = due(connection, now, limit)?;
    if ids.is_empty() {
        return Ok(ids);
    }
    // Nobody else writes, so what was due a moment ago still is.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut update = transaction.prepare_cached("UPDATE deliveries SET due = ?2 WHERE id = ?1")?;
        for id in &ids {
            update.execute((id.as_bytes(), until.as_microsecond()))?;
        }
    }
    transaction.commit()?;
    Ok(ids)
}

fn due(connection: &Connection, now: Timestamp, limit: usize) -> rusqlite::Result<Vec<SignatureId>> {
    let mut select = connection
        .prepare_cached("SELECT id, size FROM deliveries WHERE due <= ?1 ORDER BY due, id LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = select.query((now.as_microsecond(), limit))?;
    let mut ids = Vec::new();
    let mut bytes = 0;
    while bytes < Writes::DOCUMENT_BYTES
        && let Some(row) = rows.next()?
    {
        ids.push(SignatureId::from_bytes(row.get(0)?));
        bytes += usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
    }
    Ok(ids)
}

/// Whoever had taken what is not attached yet has gone: the database has one process at a time.
pub(super) fn release(connection: &Connection) -> rusqlite::Result<()> {
    let attach = stage_number(Stage::Attach);
    connection.execute("UPDATE deliveries SET due = 0 WHERE stage = ?1 AND due > 0", [attach]).map(drop)
}

pub(super) fn delivery(
    transaction: &Transaction<'_>,
    id: SignatureId,
) -> rusqlite::Result<Option<(DeliveryRow, Content)>> {
    let sql = "SELECT bytes, replaces, stage, attempts, due, idx FROM deliveries JOIN entries USING (idx) WHERE id = ?1";
    let row = transaction.prepare_cached(sql)?.query_row([id.as_bytes()], |row| {
        Ok(DeliveryRow {
            entry: row.get(0)?,
            replaces: row.get(1)?,
            stage: row.get(2)?,
            attempts: row.get(3)?,
            due: row.get(4)?,
            index: row.get(5)?,
        })
    });
    let Some(row) = row.optional()? else { return Ok(None) };
    let mut document = Content::default();
    let mut select = transaction.prepare_cached("SELECT bytes FROM documents WHERE id = ?1 ORDER BY part")?;
    let mut parts = select.query([id.as_bytes()])?;
    while let Some(part) = parts.next()? {
        document.push(part.get::<_, Vec<u8>>(0)?);
    }
    Ok(Some((row, document)))
}

pub(super) fn waiting(transaction: &Transaction<'_>) -> rusqlite::Result<Waiting> {
    transaction
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE stage = ?1), count(*) FILTER (WHERE stage <> ?1) FROM deliveries",
        )?
        .query_row([stage_number(Stage::Attach)], |row| {
            let count = |column| row.get(column).map(i64::cast_unsigned);
            Ok(Waiting { attach: count(0)?, look_again: count(1)? })
        })
}
