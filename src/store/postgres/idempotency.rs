//! Callers' own keys.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::client::Client;
use super::text::text;
use crate::domain::{Digest, Timestamp};
use crate::ports::{Binding, IdempotencyId, KeptAnswer, LogError, Recalled};
use crate::store::idempotency_row::{IdempotencyRow, answer};

/// Keys that are forgotten in one transaction.
const STEP: i64 = 1000;

/// What is kept of some keys, as it came.
pub(super) type Rows = Vec<Row>;

/// Which keys were bound just now, and what is known of all.
#[derive(Default)]
pub(super) struct Bound {
    new: Rows,
    known: Rows,
}

/// Binds keys to their requests, unless they are bound already.
pub(super) async fn bind(client: &Client, bindings: &[Binding]) -> Result<Bound, Error> {
    if bindings.is_empty() {
        return Ok(Bound::default());
    }
    // In one order for all replicas, so that none waits for another that waits for it; the first of each key.
    let mut first = BTreeMap::new();
    for binding in bindings {
        first.entry(name(&binding.id)).or_insert(binding);
    }
    let ids: Vec<Vec<u8>> = first.keys().cloned().collect();
    let principals: Vec<_> = first.values().map(|binding| text(&binding.id.principal)).collect();
    let keys: Vec<_> = first.values().map(|binding| text(&binding.id.key)).collect();
    let requests: Vec<_> = first.values().map(|binding| binding.request.as_bytes().to_vec()).collect();
    let times: Vec<_> = first.values().map(|binding| binding.now.as_microsecond()).collect();
    let sql = "INSERT INTO idempotency (id, principal, key, request, first_used)
        SELECT * FROM unnest($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING id";
    let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
        (&ids, Type::BYTEA_ARRAY),
        (&principals, Type::TEXT_ARRAY),
        (&keys, Type::TEXT_ARRAY),
        (&requests, Type::BYTEA_ARRAY),
        (&times, Type::INT8_ARRAY),
    ];
    let (new, known) = try_join(client.query(sql, &parameters), rows(client, &ids)).await?;
    Ok(Bound { new, known })
}

/// What each of `bindings` gets to know.
pub(super) fn recalled(bindings: &[Binding], bound: Bound) -> Result<Vec<Recalled>, LogError> {
    let mut new: HashMap<Vec<u8>, ()> = bound.new.iter().map(|row| (row.get(0), ())).collect();
    let known = parse(bound.known)?;
    let each = bindings.iter().map(|Binding { id, request, .. }| {
        let name = name(id);
        if new.remove(&name).is_some() {
            return Ok(Recalled::New);
        }
        // Another replica may have forgotten it between our looks.
        let row =
            known.get(&name).ok_or_else(|| LogError("a key was forgotten while it was used".to_owned()))?;
        Ok(row.recalled(*request))
    });
    each.collect()
}

/// Keeps the answers of keys that have none yet, and reads those that are kept.
pub(super) async fn keep(client: &Client, answers: &[(IdempotencyId, KeptAnswer)]) -> Result<Rows, Error> {
    if answers.is_empty() {
        return Ok(Rows::new());
    }
    let mut first = BTreeMap::new();
    for (id, answer) in answers {
        first.entry(name(id)).or_insert(answer);
    }
    let ids: Vec<Vec<u8>> = first.keys().cloned().collect();
    let statuses: Vec<_> = first.values().map(|answer| i64::from(answer.status)).collect();
    let bodies: Vec<_> = first.values().map(|answer| &answer.body[..]).collect();
    let locations: Vec<_> = first.values().map(|answer| answer.location.as_deref().map(text)).collect();
    let sql = "UPDATE idempotency SET status = new.status, body = new.body, location = new.location
        FROM unnest($1, $2, $3, $4) AS new (id, status, body, location)
        WHERE idempotency.id = new.id AND idempotency.status IS NULL";
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&ids, Type::BYTEA_ARRAY),
        (&statuses, Type::INT8_ARRAY),
        (&bodies, Type::BYTEA_ARRAY),
        (&locations, Type::TEXT_ARRAY),
    ];
    let (_, rows) = try_join(client.execute(sql, &parameters), rows(client, &ids)).await?;
    Ok(rows)
}

/// For each of `answers`, the one that is kept.
pub(super) fn kept(answers: &[(IdempotencyId, KeptAnswer)], rows: Rows) -> Result<Vec<KeptAnswer>, LogError> {
    let rows = parse(rows)?;
    // A key that has been forgotten keeps nothing, and its first answer is this one.
    let kept = |(id, answer): &(IdempotencyId, KeptAnswer)| {
        rows.get(&name(id)).and_then(|row| row.answer.clone()).unwrap_or_else(|| answer.clone())
    };
    Ok(answers.iter().map(kept).collect())
}

/// Forgets some of what was first used before `before`; 0 where nothing is left for us.
pub(super) async fn forget(client: &Client, before: Timestamp) -> Result<u64, Error> {
    let sql = "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency WHERE first_used < $1
        ORDER BY first_used LIMIT $2 FOR UPDATE SKIP LOCKED)";
    client.execute(sql, &[(&before.as_microsecond(), Type::INT8), (&STEP, Type::INT8)]).await
}

async fn rows(client: &Client, ids: &[Vec<u8>]) -> Result<Rows, Error> {
    let sql = "SELECT id, request, status, body, location FROM idempotency WHERE id = ANY ($1)";
    client.query(sql, &[(&ids, Type::BYTEA_ARRAY)]).await
}

fn parse(rows: Rows) -> Result<HashMap<Vec<u8>, IdempotencyRow>, LogError> {
    let each = rows.into_iter().map(|row| {
        let answer = answer(row.get(2), row.get(3), row.get(4))?;
        Ok((row.get(0), IdempotencyRow { request: row.get(1), answer }))
    });
    each.collect()
}

/// The name of a key's row: principals may be longer than an index can hold.
fn name(id: &IdempotencyId) -> Vec<u8> {
    let length = (id.principal.len() as u64).to_be_bytes();
    Digest::of(&[&length, id.principal.as_bytes(), id.key.as_bytes()].concat()).as_bytes().to_vec()
}
