//! The tree over the entries: tiles, the head and the newest checkpoint, which change in the transaction of the entries.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::{StoreError, size};
use crate::ports::{LogError, NewEntry, SignedCheckpoint};
use crate::store::tree_row::{CheckpointRow, HeadRow, Parts, RESTORE, Witness};
use crate::tlog::{Edge, Growth, Hash, TILE_WIDTH, TileId, TreeHead};

/// Entries that are hashed in one transaction while catching up.
const STEP: u64 = 10_000;

/// The edge that new entries come behind.
///
/// # Errors
/// Where it is not the one that this process has left behind.
pub(super) fn edge(transaction: &Transaction<'_>, witness: &mut Witness) -> Result<Edge, LogError> {
    let edge = head(transaction)?.0.edge()?;
    witness.alone(edge.head())?;
    let entries = size(transaction)?.cast_unsigned();
    if entries != edge.size() {
        witness
            .lose(edge.head(), &format!("there are {entries} entries, and somebody else has changed that"))?;
    }
    Ok(edge)
}

/// Adds the leaves of entries that have just been inserted behind the edge.
pub(super) fn append(
    transaction: &Transaction<'_>,
    edge: &mut Edge,
    entries: &[NewEntry],
) -> Result<(), LogError> {
    if entries.is_empty() {
        return Ok(());
    }
    grow(transaction, edge, entries.iter().map(NewEntry::leaf), true)
}

fn grow(
    transaction: &Transaction<'_>,
    edge: &mut Edge,
    leaves: impl Iterator<Item = Hash>,
    complete: bool,
) -> Result<(), LogError> {
    for growth in edge.append(leaves) {
        add(transaction, &growth)?;
    }
    let TreeHead { size, root } = edge.head();
    transaction
        .prepare_cached("UPDATE head SET size = ?1, root = ?2, edge = ?3, complete = ?4")?
        .execute(params![size.cast_signed(), root.as_bytes(), edge.to_bytes(), complete])?;
    Ok(())
}

/// Lets a tile grow in its place.
fn add(transaction: &Transaction<'_>, growth: &Growth) -> Result<(), LogError> {
    let Growth { tile, before, hashes } = growth;
    let mut row = match before {
        0 => Vec::new(),
        _ => self::tile(transaction, *tile)?.unwrap_or_default(),
    };
    if row.len() != before * Hash::BYTES {
        let TileId { level, number } = tile;
        return Err(LogError(format!(
            "tile {level}/{number} has {} bytes and should have {before} hashes. {RESTORE}",
            row.len()
        )));
    }
    row.extend(hashes.iter().flat_map(|hash| hash.0));
    let sql = match before {
        0 => "INSERT INTO tiles (level, number, hashes) VALUES (?1, ?2, ?3)",
        _ => "UPDATE tiles SET hashes = ?3 WHERE level = ?1 AND number = ?2",
    };
    transaction.prepare_cached(sql)?.execute(params![tile.level, tile.number.cast_signed(), row])?;
    Ok(())
}

/// Keeps a checkpoint, unless a larger one is kept.
pub(super) fn keep(transaction: &Transaction<'_>, checkpoint: &SignedCheckpoint) -> rusqlite::Result<()> {
    let SignedCheckpoint { head: TreeHead { size, root }, note } = checkpoint;
    transaction
        .prepare_cached(
            "INSERT INTO checkpoint VALUES (1, ?1, ?2, ?3) ON CONFLICT (id)
            DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note
            WHERE size <= excluded.size",
        )?
        .execute(params![size.cast_signed(), root.as_bytes(), note])
        .map(drop)
}

/// The head, and whether it covers all entries: it does not while those of an older Signet are being hashed.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<(HeadRow, bool)> {
    connection.prepare_cached("SELECT size, root, edge, complete FROM head")?.query_row([], |row| {
        Ok((HeadRow { size: row.get(0)?, root: row.get(1)?, edge: row.get(2)? }, row.get(3)?))
    })
}

pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<Option<CheckpointRow>> {
    connection
        .prepare_cached("SELECT size, root, note FROM checkpoint")?
        .query_row([], |row| Ok(CheckpointRow { size: row.get(0)?, root: row.get(1)?, note: row.get(2)? }))
        .optional()
}

/// The hashes of a tile, side by side.
pub(super) fn tile(connection: &Connection, tile: TileId) -> rusqlite::Result<Option<Vec<u8>>> {
    let Ok(number) = i64::try_from(tile.number) else { return Ok(None) };
    connection
        .prepare_cached("SELECT hashes FROM tiles WHERE level = ?1 AND number = ?2")?
        .query_row((tile.level, number), |row| row.get(0))
        .optional()
}

/// Brings the tree to the size of a log that an older Signet has written, holds the parts of the log against each
/// other, and says what its head is. It reads the last tile's entries and not all.
///
/// # Errors
/// [`StoreError::Damaged`], and what SQLite says.
pub(super) fn open(connection: &mut Connection, path: &Path) -> Result<TreeHead, StoreError> {
    let mut told = None;
    while let Some((size, entries)) = step(connection, path)? {
        if told.replace(size * 20 / entries.max(1)) != Some(size * 20 / entries.max(1)) {
            tracing::info!(size, entries, "entries of an older Signet are being hashed, once");
        }
    }
    let transaction = connection.transaction().map_err(|source| sqlite(path, source))?;
    check(&transaction).map_err(|reason| match reason {
        Reason::Sqlite(source) => sqlite(path, source),
        Reason::Log(LogError(reason)) => StoreError::Damaged { path: path.to_owned(), reason },
    })
}

/// Hashes some of the entries that the tree lacks: how far it has come, and how many there are; none where it is complete.
fn step(connection: &mut Connection, path: &Path) -> Result<Option<(u64, u64)>, StoreError> {
    let failed = |source| sqlite(path, source);
    let damaged = |LogError(reason)| StoreError::Damaged { path: path.to_owned(), reason };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let (row, complete) = head(&transaction).map_err(failed)?;
    if complete {
        return Ok(None);
    }
    let mut edge = row.edge().map_err(damaged)?;
    let entries = size(&transaction).map_err(failed)?.cast_unsigned();
    let to = entries.min(edge.size() + STEP);
    let mut leaves = Vec::new();
    for index in edge.size()..to {
        leaves.push(leaf(&transaction, index).map_err(failed)?);
    }
    grow(&transaction, &mut edge, leaves.into_iter(), to == entries).map_err(damaged)?;
    transaction.commit().map_err(failed)?;
    Ok(Some((to, entries)))
}

fn leaf(connection: &Connection, index: u64) -> rusqlite::Result<Hash> {
    connection
        .prepare_cached("SELECT bytes FROM entries WHERE idx = ?1")?
        .query_row([index.cast_signed()], |row| Ok(Hash::of_leaf(row.get_ref(0)?.as_blob()?)))
}

/// Why the parts of the log do not fit together, or could not be read.
enum Reason {
    Sqlite(rusqlite::Error),
    Log(LogError),
}

impl From<rusqlite::Error> for Reason {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<LogError> for Reason {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// Holds entries, tiles, head and checkpoint against each other.
fn check(transaction: &Transaction<'_>) -> Result<TreeHead, Reason> {
    let (head, _) = head(transaction)?;
    let checkpoint = checkpoint(transaction)?;
    let mut tiles = BTreeMap::new();
    for id in Parts::tiles(&head, checkpoint.as_ref()) {
        tiles.extend(tile(transaction, id)?.map(|hashes| (id, hashes)));
    }
    let leaves = transaction
        .prepare_cached("SELECT bytes FROM entries WHERE idx >= ?1 ORDER BY idx LIMIT ?2")?
        .query_map((Parts::first(&head), TILE_WIDTH.cast_signed()), |row| {
            Ok(Hash::of_leaf(row.get_ref(0)?.as_blob()?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let parts = Parts { entries: size(transaction)?, head, tiles, leaves, checkpoint };
    Ok(parts.check()?)
}

fn sqlite(path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Sqlite { path: path.to_owned(), source }
}
