//! Signatures on their way.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::client::Client;
use super::fault::{Fault, within};
use super::pipeline::Pipeline;
use crate::domain::{Content, SignatureId, Timestamp};
use crate::ports::{DeliveryChange, LogError, Stage, Waiting, Writes};
use crate::store::delivery_row::{DeliveryRow, parts, stage_number};

/// Bytes of one part of a document, and of the parts that are sent in one statement, roughly: so much is copied.
const PART: usize = 1024 * 1024;

/// Sends the documents of new deliveries, and returns the last of them for going on with others.
pub(super) async fn add_documents<'a>(
    client: &'a Client,
    limit: Duration,
    writes: &Writes,
) -> Result<Pipeline<'a>, Fault> {
    let mut some = Parts::default();
    let mut seen = HashSet::new();
    for change in &writes.changes {
        let DeliveryChange::Add { entry, parcel, .. } = change else { continue };
        let id = uuid(writes.outcome(*entry)?);
        if !seen.insert(id) {
            continue;
        }
        for (number, part) in (0..).zip(parts(&parcel.document, PART)) {
            if some.bytes + part.len() > PART && some.bytes > 0 {
                within(limit, std::mem::take(&mut some).insert(client)).await?;
            }
            some.push(id, number, part);
        }
    }
    let mut rest = Pipeline::default();
    if !some.ids.is_empty() {
        rest.push(some.insert(client));
    }
    Ok(rest)
}

/// Parts of documents, column by column.
#[derive(Default)]
struct Parts {
    ids: Vec<Uuid>,
    numbers: Vec<i32>,
    parts: Vec<Bytes>,
    bytes: usize,
}

impl Parts {
    fn push(&mut self, id: Uuid, number: i32, part: Bytes) {
        self.bytes += part.len();
        self.ids.push(id);
        self.numbers.push(number);
        self.parts.push(part);
    }

    async fn insert(self, client: &Client) -> Result<u64, Error> {
        // A delivery that is there keeps its document.
        let sql = "INSERT INTO documents SELECT * FROM unnest($1, $2, $3) AS added (id, part, bytes)
            WHERE NOT EXISTS (SELECT FROM deliveries WHERE deliveries.id = added.id)";
        let parts: Vec<&[u8]> = self.parts.iter().map(|part| &part[..]).collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&self.ids, Type::UUID_ARRAY), (&self.numbers, Type::INT4_ARRAY), (&parts, Type::BYTEA_ARRAY)];
        client.execute(sql, &parameters).await
    }
}

/// Makes the changes of deliveries themselves; `first` is the index of the first entry.
pub(super) fn change<'a>(
    pipeline: &mut Pipeline<'a>,
    client: &'a Client,
    first: i64,
    writes: &Writes,
) -> Result<(), LogError> {
    let mut round = Round::default();
    let mut seen = HashSet::new();
    for change in &writes.changes {
        let id = match change {
            DeliveryChange::Add { entry, .. } => writes.outcome(*entry)?,
            DeliveryChange::Postpone { id, .. } | DeliveryChange::Settle { id } => *id,
        };
        // Within a round, the order is that of the statements: so a delivery occurs once in each.
        if !seen.insert(id) {
            std::mem::take(&mut round).send(pipeline, client);
            seen = HashSet::from([id]);
        }
        round.push(id, first, change);
    }
    round.send(pipeline, client);
    Ok(())
}

/// Changes of different deliveries, column by column.
#[derive(Default)]
struct Round {
    added: Vec<Uuid>,
    added_indexes: Vec<i64>,
    added_replaces: Vec<bool>,
    added_due: Vec<i64>,
    added_sizes: Vec<i64>,
    postponed: Vec<Uuid>,
    postponed_stages: Vec<i16>,
    postponed_attempts: Vec<i64>,
    postponed_due: Vec<i64>,
    settled: Vec<Uuid>,
}

impl Round {
    fn push(&mut self, id: SignatureId, first: i64, change: &DeliveryChange) {
        match change {
            DeliveryChange::Add { entry, parcel, due } => {
                self.added.push(uuid(id));
                self.added_indexes.push(first.saturating_add_unsigned(*entry as u64));
                self.added_replaces.push(parcel.replace);
                self.added_due.push(due.as_microsecond());
                self.added_sizes.push(i64::try_from(parcel.document.len()).unwrap_or(i64::MAX));
            }
            DeliveryChange::Postpone { stage, attempts, due, .. } => {
                self.postponed.push(uuid(id));
                self.postponed_stages.push(stage_number(*stage));
                self.postponed_attempts.push(i64::from(*attempts));
                self.postponed_due.push(due.as_microsecond());
            }
            DeliveryChange::Settle { .. } => self.settled.push(uuid(id)),
        }
    }

    fn send<'a>(self, pipeline: &mut Pipeline<'a>, client: &'a Client) {
        let Self { added, added_indexes, added_replaces, added_due, added_sizes, .. } = self;
        if !added.is_empty() {
            let attach = stage_number(Stage::Attach);
            pipeline.push(async move {
                let sql = "INSERT INTO deliveries SELECT id, idx, replaces, $6, 0, due, size
                    FROM unnest($1, $2, $3, $4, $5) AS added (id, idx, replaces, due, size) ON CONFLICT DO NOTHING";
                let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
                    (&added, Type::UUID_ARRAY),
                    (&added_indexes, Type::INT8_ARRAY),
                    (&added_replaces, Type::BOOL_ARRAY),
                    (&added_due, Type::INT8_ARRAY),
                    (&added_sizes, Type::INT8_ARRAY),
                    (&attach, Type::INT2),
                ];
                client.execute(sql, &parameters).await
            });
        }
        let Self { postponed, postponed_stages, postponed_attempts, postponed_due, .. } = self;
        if !postponed.is_empty() {
            pipeline.push(async move {
                let sql = "UPDATE deliveries SET stage = new.stage, attempts = new.attempts, due = new.due
                    FROM unnest($1, $2, $3, $4) AS new (id, stage, attempts, due) WHERE deliveries.id = new.id";
                let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
                    (&postponed, Type::UUID_ARRAY),
                    (&postponed_stages, Type::INT2_ARRAY),
                    (&postponed_attempts, Type::INT8_ARRAY),
                    (&postponed_due, Type::INT8_ARRAY),
                ];
                client.execute(sql, &parameters).await
            });
        }
        let settled = self.settled;
        if !settled.is_empty() {
            pipeline.push(async move {
                let sql = "WITH settled AS (DELETE FROM deliveries WHERE id = ANY ($1))
                    DELETE FROM documents WHERE id = ANY ($1)";
                client.execute(sql, &[(&settled, Type::UUID_ARRAY)]).await
            });
        }
    }
}

/// What is due at `now`, put off until `until`. What another replica is just taking is left to it.
pub(super) async fn take_due(
    client: &Client,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<SignatureId>, Error> {
    let sql = "WITH due AS MATERIALIZED (
            SELECT id, due, size FROM deliveries WHERE due <= $1 ORDER BY due, id LIMIT $3
            FOR UPDATE SKIP LOCKED
        ), few AS (
            SELECT id, due, sum(size) OVER (ORDER BY due, id) - size AS before FROM due
        )
        UPDATE deliveries SET due = $2 FROM few WHERE deliveries.id = few.id AND before < $4
        RETURNING deliveries.id, few.due";
    let (limit, bytes) =
        (i64::try_from(limit).unwrap_or(i64::MAX), i64::try_from(Writes::DOCUMENT_BYTES).unwrap_or(i64::MAX));
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&now.as_microsecond(), Type::INT8),
        (&until.as_microsecond(), Type::INT8),
        (&limit, Type::INT8),
        (&bytes, Type::INT8),
    ];
    let rows = client.query(sql, &parameters).await?;
    let mut taken: Vec<(i64, Uuid)> = rows.iter().map(|row| (row.get(1), row.get(0))).collect();
    taken.sort_unstable();
    Ok(taken.into_iter().map(|(_, id)| SignatureId::from_bytes(id.into_bytes())).collect())
}

/// A delivery and its document, in a transaction of the caller's.
pub(super) async fn delivery(
    client: &Client,
    id: SignatureId,
) -> Result<Option<(DeliveryRow, Content)>, Error> {
    let id = uuid(id);
    let sql = "SELECT bytes, replaces, stage, attempts, due, idx FROM deliveries JOIN entries USING (idx) WHERE id = $1";
    let Some(row) = client.query_opt(sql, &[(&id, Type::UUID)]).await? else { return Ok(None) };
    let delivery = DeliveryRow {
        entry: row.get(0),
        replaces: row.get(1),
        stage: row.get(2),
        attempts: u32::try_from(row.get::<_, i64>(3)).unwrap_or(u32::MAX),
        due: row.get(4),
        index: row.get(5),
    };
    let sql = "SELECT bytes FROM documents WHERE id = $1 ORDER BY part";
    let mut document = Content::default();
    let rows = client.stream(sql, &[(&id, Type::UUID)]).await?;
    let mut rows = std::pin::pin!(rows);
    while let Some(part) = rows.try_next().await? {
        document.push(part.get::<_, Vec<u8>>(0));
    }
    Ok(Some((delivery, document)))
}

pub(super) async fn waiting(client: &Client) -> Result<Waiting, Error> {
    let sql =
        "SELECT count(*) FILTER (WHERE stage = $1), count(*) FILTER (WHERE stage <> $1) FROM deliveries";
    let row = client.query_one(sql, &[(&stage_number(Stage::Attach), Type::INT2)]).await?;
    let count = |column| row.get::<_, i64>(column).cast_unsigned();
    Ok(Waiting { attach: count(0), look_again: count(1) })
}

fn uuid(id: SignatureId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}
