//! Whether a log is whole: everything is hashed again.

use std::collections::BTreeMap;

use crate::ports::{LogError, SignedCheckpoint, StoreReader};
use crate::tlog::{Edge, Hash, TILE_WIDTH, TileId, TreeHead};

/// Entries that are read at once.
const STEP: usize = 10_000;

/// What is known of a log in which nothing is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub head: TreeHead,
    pub checkpoint: Option<SignedCheckpoint>,
}

/// Why a log is not known to be whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error("the log is damaged: {0}")]
    Damaged(String),
    #[error(transparent)]
    Unreadable(#[from] LogError),
}

/// Hashes all entries that are there again, and holds every tile, the head and the stored checkpoint against that. It blocks, reads the
/// whole log once with constant memory, and may run beside a service that writes: it speaks of the log as it is at the
/// beginning. `progress` is told how many entries of how many are done.
///
/// The checkpoint's signature is not looked at: who has the log's public key verifies it beside.
///
/// # Errors
/// With the first damage, and where the log can not be read.
pub fn check(reader: &dyn StoreReader, mut progress: impl FnMut(u64, u64)) -> Result<Whole, CheckError> {
    let (head, checkpoint) = reader.head()?;
    let first = reader.extent()?.first;
    let mut check = Check::from(reader, first)?;
    let published = checkpoint.as_ref().map(|checkpoint| checkpoint.head);
    let mut sizes: Vec<u64> = published.iter().map(|head| head.size).chain([head.size]).collect();
    sizes.sort_unstable();
    let mut roots = Vec::new();
    for size in sizes {
        check.hash_to(size.min(head.size), |done| progress(done, head.size))?;
        roots.push(check.edge.head());
    }
    check.compare_rest()?;
    let whole = roots.contains(&head);
    if let Some(wrong) = check.wrong {
        return Err(CheckError::Damaged(wrong.words(whole)));
    }
    if !whole {
        let (stored, found) = (head.root, check.edge.head().root);
        return Err(CheckError::Damaged(format!("its head has the root {stored}, its entries have {found}")));
    }
    match published {
        Some(published) if published.size >= first && !roots.contains(&published) => {
            Err(CheckError::Damaged(format!(
                "the stored checkpoint of {} entries has another root than these entries have, or there are fewer",
                published.size
            )))
        }
        _ => Ok(Whole { head, checkpoint }),
    }
}

struct Check<'a> {
    reader: &'a dyn StoreReader,
    edge: Edge,
    /// Of which not all entries were read yet.
    tiles: BTreeMap<TileId, Vec<u8>>,
    /// The first on the lowest level.
    wrong: Option<Wrong>,
}

impl<'a> Check<'a> {
    /// What is below `first` has left the database: its hashes stand for it.
    fn from(reader: &'a dyn StoreReader, first: u64) -> Result<Self, CheckError> {
        let ids: Vec<_> = TileId::at_edge(first).collect();
        let rows = ids.iter().copied().zip(reader.tiles(&ids)?);
        let tiles: BTreeMap<_, _> = rows
            .filter_map(|(id, row)| {
                let mut row = row?;
                row.truncate(id.width_at(first) * Hash::BYTES);
                Some((id, row))
            })
            .collect();
        let edge = Edge::of_tiles(first, |id| tiles.get(&id).cloned()).ok_or_else(|| {
            CheckError::Damaged(format!("tiles of the entries below {first}, which have left, are missing"))
        })?;
        Ok(Self { reader, edge, tiles, wrong: None })
    }

    fn hash_to(&mut self, size: u64, mut progress: impl FnMut(u64)) -> Result<(), CheckError> {
        while self.edge.size() < size {
            let first = self.edge.size();
            let limit = usize::try_from(size - first).map_or(STEP, |rest| rest.min(STEP));
            let entries = self.reader.entries(first, limit)?;
            let gap = (first..).zip(&entries).find(|(index, entry)| entry.index != *index);
            if let Some(index) = gap.map(|(index, _)| index).or(entries.is_empty().then_some(first)) {
                return Err(CheckError::Damaged(format!("entry {index} is missing")));
            }
            for growth in self.edge.append(entries.iter().map(|entry| Hash::of_leaf(&entry.bytes))) {
                let row = self.tiles.entry(growth.tile).or_default();
                row.extend(growth.hashes.iter().flat_map(|hash| hash.0));
            }
            let full = |row: &Vec<u8>| row.len() == TILE_WIDTH as usize * Hash::BYTES;
            let done = self.tiles.extract_if(.., |_, row| full(row)).collect();
            self.compare(done)?;
            progress(self.edge.size());
        }
        Ok(())
    }

    fn compare_rest(&mut self) -> Result<(), CheckError> {
        let rest = std::mem::take(&mut self.tiles).into_iter().collect();
        self.compare(rest)
    }

    fn compare(&mut self, rows: Vec<(TileId, Vec<u8>)>) -> Result<(), CheckError> {
        for some in rows.chunks(64) {
            let ids: Vec<_> = some.iter().map(|(id, _)| *id).collect();
            for ((tile, row), stored) in some.iter().zip(self.reader.tiles(&ids)?) {
                let stored = stored.unwrap_or_default();
                if stored.starts_with(row) {
                    continue;
                }
                let same = row.chunks(Hash::BYTES).zip(stored.chunks(Hash::BYTES));
                let place = same.take_while(|(row, stored)| row == stored).count() as u64;
                let wrong = Wrong { tile: *tile, place };
                if self.wrong.as_ref().is_none_or(|other| wrong < *other) {
                    self.wrong = Some(wrong);
                }
            }
        }
        Ok(())
    }
}

/// A hash of a tile that is not that of the entries.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wrong {
    tile: TileId,
    /// Within the tile.
    place: u64,
}

impl Wrong {
    /// What is damaged: the entry or the tile, which the root tells that both lead to.
    fn words(&self, entries_are_whole: bool) -> String {
        let TileId { level, number } = self.tile;
        let place = self.place;
        match (level, entries_are_whole) {
            (0, false) => format!("entry {} is not the one that was logged", number * TILE_WIDTH + place),
            (_, false) => {
                format!("entries below hash {place} of tile {level}/{number} are not those that were logged")
            }
            (_, true) => {
                format!("tile {level}/{number} is not that of its entries, from its hash {place} on")
            }
        }
    }
}
