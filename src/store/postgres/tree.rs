//! The tree over the entries: tiles, the head and the newest checkpoint, which change in the transaction of the entries.

use std::collections::BTreeMap;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::client::Client;
use super::fault::Fault;
use super::pipeline::Pipeline;
use super::search::logged;
use crate::ports::{LogError, LoggedEntry, SignedCheckpoint};
use crate::store::tree_row::{CheckpointRow, HeadRow, Parts};
use crate::store::{PAGE_BYTES, StoreError};
use crate::tlog::{Edge, Growth, Hash, TILE_WIDTH, TileId, TreeHead};

/// Entries that are hashed in one transaction while catching up.
const STEP: i64 = 10_000;

/// The head, held until the transaction ends where entries are to come behind it.
pub(super) async fn head(client: &Client, hold: bool) -> Result<HeadRow, Error> {
    let sql = match hold {
        true => "SELECT size, root, edge FROM head FOR UPDATE",
        false => "SELECT size, root, edge FROM head",
    };
    Ok(head_row(&client.query_one(sql, &[]).await?))
}

/// What appending leaves adds to the tree.
pub(super) struct Grown {
    edge: Edge,
    growths: Vec<Growth>,
}

impl Grown {
    pub(super) fn of(mut edge: Edge, leaves: impl Iterator<Item = Hash>) -> Self {
        let growths = edge.append(leaves);
        Self { edge, growths }
    }

    pub(super) fn head(&self) -> TreeHead {
        self.edge.head()
    }

    /// Writes the head, then the tiles. The head has to be held since before this statement began: what another process
    /// has added to a tile is seen then.
    pub(super) fn write<'a>(self, pipeline: &mut Pipeline<'a>, client: &'a Client, complete: bool) {
        let Self { edge, growths } = self;
        pipeline.push(async move {
            let TreeHead { size, root } = edge.head();
            let sql = "UPDATE head SET size = $1, root = $2, edge = $3, complete = $4";
            let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
                (&size.cast_signed(), Type::INT8),
                (&&root.as_bytes()[..], Type::BYTEA),
                (&edge.to_bytes(), Type::BYTEA),
                (&complete, Type::BOOL),
            ];
            client.execute(sql, &parameters).await
        });
        pipeline.push(async move {
            // A tile that has not the width that the head speaks of becomes NULL, which is refused.
            let sql = "INSERT INTO tiles SELECT level, number,
                    CASE WHEN before * 32 = coalesce(length(tiles.hashes), 0)
                        THEN coalesce(tiles.hashes, '') || added.hashes END
                FROM unnest($1, $2, $3, $4) AS added (level, number, before, hashes)
                LEFT JOIN tiles USING (level, number)
                ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes";
            let levels: Vec<_> = growths.iter().map(|growth| i16::from(growth.tile.level)).collect();
            let numbers: Vec<_> = growths.iter().map(|growth| growth.tile.number.cast_signed()).collect();
            let before: Vec<_> = growths.iter().map(|growth| growth.before as i32).collect();
            let hashes: Vec<Vec<u8>> =
                growths.iter().map(|growth| growth.hashes.iter().flat_map(|hash| hash.0).collect()).collect();
            let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
                (&levels, Type::INT2_ARRAY),
                (&numbers, Type::INT8_ARRAY),
                (&before, Type::INT4_ARRAY),
                (&hashes, Type::BYTEA_ARRAY),
            ];
            client.execute(sql, &parameters).await
        });
    }
}

/// Keeps a checkpoint, unless a larger one is kept.
pub(super) fn keep<'a>(pipeline: &mut Pipeline<'a>, client: &'a Client, checkpoint: &'a SignedCheckpoint) {
    pipeline.push(async move {
        let SignedCheckpoint { head: TreeHead { size, root }, note } = checkpoint;
        let sql = "INSERT INTO checkpoint VALUES (1, $1, $2, $3) ON CONFLICT (id)
            DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note
            WHERE checkpoint.size <= excluded.size";
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&size.cast_signed(), Type::INT8), (&&root.as_bytes()[..], Type::BYTEA), (note, Type::TEXT)];
        client.execute(sql, &parameters).await
    });
}

/// The head and the newest checkpoint that are durable.
pub(super) async fn published(client: &Client) -> Result<(HeadRow, Option<CheckpointRow>), Error> {
    let sql = "SELECT head.size, head.root, head.edge, checkpoint.size AS covered, checkpoint.root AS covered_root, note
        FROM head LEFT JOIN checkpoint ON true";
    let row = client.query_one(sql, &[]).await?;
    let checkpoint = row.get::<_, Option<i64>>("covered").map(|size| CheckpointRow {
        size,
        root: row.get("covered_root"),
        note: row.get("note"),
    });
    Ok((head_row(&row), checkpoint))
}

/// Those of `tiles` that are there.
pub(super) async fn tiles(client: &Client, tiles: &[TileId]) -> Result<BTreeMap<TileId, Vec<u8>>, Error> {
    let levels: Vec<_> = tiles.iter().map(|tile| i16::from(tile.level)).collect();
    let numbers: Vec<_> = tiles.iter().map(|tile| i64::try_from(tile.number).unwrap_or(i64::MAX)).collect();
    let sql = "SELECT level, number, hashes FROM unnest($1, $2) AS asked (level, number)
        JOIN tiles USING (level, number)";
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&levels, Type::INT2_ARRAY), (&numbers, Type::INT8_ARRAY)];
    let rows = client.query(sql, &parameters).await?;
    let tile = |row: &Row| {
        let (level, number) = (row.get::<_, i16>(0), row.get::<_, i64>(1));
        (TileId { level: level as u8, number: number.cast_unsigned() }, row.get(2))
    };
    Ok(rows.iter().map(tile).collect())
}

/// Entries from `first` on: at most `limit`, and fewer where they are large.
pub(super) async fn entries(client: &Client, first: i64, limit: i64) -> Result<Vec<LoggedEntry>, Error> {
    let sql = "SELECT idx, bytes FROM
        (SELECT idx, bytes, sum(length(bytes)) OVER (ORDER BY idx) - length(bytes) AS before
            FROM entries WHERE idx >= $1 AND idx < $2) AS few
        WHERE before < $3 ORDER BY idx";
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (&first, Type::INT8),
        (&first.saturating_add(limit), Type::INT8),
        (&i64::try_from(PAGE_BYTES).unwrap_or(i64::MAX), Type::INT8),
    ];
    let rows = client.query(sql, &parameters).await?;
    Ok(rows.iter().map(logged).collect())
}

/// Brings the tree to the size of a log that an older Signet has written, holds the parts of the log against each
/// other, and says what its head is. It reads the last tile's entries and not all. Of replicas that start at once, each
/// may do a part.
///
/// # Errors
/// Where the log is damaged, and what PostgreSQL says.
pub(super) async fn open(client: &Client) -> Result<TreeHead, StoreError> {
    let mut told = None;
    while let Some((size, entries)) = step(client).await? {
        if told.replace(size * 20 / entries.max(1)) != Some(size * 20 / entries.max(1)) {
            tracing::info!(size, entries, "entries of an older Signet are being hashed, once");
        }
    }
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
    let parts = parts(client).await.map_err(failed)?;
    client.batch_execute("COMMIT").await.map_err(failed)?;
    parts.check().map_err(damaged)
}

/// Hashes some of the entries that the tree lacks: how far it has come, and how many there are; none where it is complete.
async fn step(client: &Client) -> Result<Option<(i64, i64)>, StoreError> {
    client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await.map_err(failed)?;
    let sql = "SELECT size, root, edge, complete FROM head FOR UPDATE";
    let row = client.query_one(sql, &[]).await.map_err(failed)?;
    if row.get("complete") {
        client.batch_execute("ROLLBACK").await.map_err(failed)?;
        return Ok(None);
    }
    let edge = head_row(&row).edge().map_err(damaged)?;
    let all = entries_size(client).await.map_err(failed)?;
    let first = edge.size().cast_signed();
    let to = all.min(first + STEP);
    let sql = "SELECT bytes FROM entries WHERE idx >= $1 AND idx < $2 ORDER BY idx";
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&first, Type::INT8), (&to, Type::INT8)];
    let rows = client.query(sql, &parameters).await.map_err(failed)?;
    if rows.len() != usize::try_from(to - first).unwrap_or_default() {
        return Err(damaged(LogError(format!("entries are missing between {first} and {to}"))));
    }
    let grown = Grown::of(edge, rows.iter().map(|row| Hash::of_leaf(row.get(0))));
    let mut last = Pipeline::default();
    grown.write(&mut last, client, to == all);
    last.push(client.batch_execute("COMMIT"));
    last.run().await.map_err(failed)?;
    Ok(Some((to, all)))
}

async fn parts(client: &Client) -> Result<Parts, Error> {
    let (head, checkpoint) = published(client).await?;
    let tiles = tiles(client, &Parts::tiles(&head, checkpoint.as_ref())).await?;
    let sql = "SELECT bytes FROM entries WHERE idx >= $1 ORDER BY idx LIMIT $2";
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&Parts::first(&head), Type::INT8), (&TILE_WIDTH.cast_signed(), Type::INT8)];
    let rows = client.query(sql, &parameters).await?;
    let leaves = rows.iter().map(|row| Hash::of_leaf(row.get(0))).collect();
    Ok(Parts { entries: entries_size(client).await?, head, tiles, leaves, checkpoint })
}

async fn entries_size(client: &Client) -> Result<i64, Error> {
    Ok(client.query_one("SELECT coalesce(max(idx) + 1, 0) FROM entries", &[]).await?.get(0))
}

fn head_row(row: &Row) -> HeadRow {
    HeadRow { size: row.get("size"), root: row.get("root"), edge: row.get("edge") }
}

fn damaged(LogError(reason): LogError) -> StoreError {
    StoreError::Postgres(format!("the log is damaged: {reason}"))
}

fn failed(error: Error) -> StoreError {
    StoreError::Postgres(Fault::from(error).reason)
}
