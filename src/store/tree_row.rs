//! What a database keeps of the tree, whatever the database.

use std::collections::BTreeMap;

use crate::ports::{LogError, SignedCheckpoint};
use crate::tlog::{Edge, Hash, TILE_WIDTH, TileId, TreeHead};

/// The head of the log.
pub(super) struct HeadRow {
    pub(super) size: i64,
    pub(super) root: Vec<u8>,
    pub(super) edge: Vec<u8>,
}

impl HeadRow {
    /// # Errors
    /// Where the parts of the row do not fit together.
    pub(super) fn edge(&self) -> Result<Edge, LogError> {
        let damaged = |what: &str| LogError(format!("the head of the log is damaged: {what}. {RESTORE}"));
        let edge = u64::try_from(self.size).ok().and_then(|size| Edge::from_bytes(size, &self.edge));
        let edge = edge.ok_or_else(|| damaged("its edge is that of another size"))?;
        if edge.head().root.as_bytes()[..] != self.root {
            return Err(damaged("its root is not that of its edge"));
        }
        Ok(edge)
    }
}

/// The newest checkpoint that was kept.
pub(super) struct CheckpointRow {
    pub(super) size: i64,
    pub(super) root: Vec<u8>,
    pub(super) note: String,
}

impl CheckpointRow {
    /// # Errors
    /// Where the row is none that a store has written, or its note speaks of another tree.
    pub(super) fn checkpoint(self) -> Result<SignedCheckpoint, LogError> {
        let damaged = || LogError(format!("the stored checkpoint is damaged. {RESTORE}"));
        let root = <[u8; Hash::BYTES]>::try_from(self.root).map_err(|_| damaged())?;
        let size = u64::try_from(self.size).map_err(|_| damaged())?;
        let head = TreeHead { size, root: Hash(root) };
        let says = self.note.lines().skip(1).take(2).eq([head.size.to_string(), head.root.to_string()]);
        if says { Ok(SignedCheckpoint { head, note: self.note }) } else { Err(damaged()) }
    }
}

/// What an operator does about a log that is not what it was.
pub(super) const RESTORE: &str = "Stop Signet, keep a copy of the database, and restore the newest backup that `signet log check` finds whole";

/// What this process remembers of the log, against which the database is held at each transaction: a database that was
/// restored, or that somebody else has written, has another history, and nothing may follow upon both.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    last: TreeHead,
    /// What a commit would have led to, of which is not known how it ended.
    tried: Option<TreeHead>,
    verdict: Result<(), LogError>,
}

impl Witness {
    pub(super) const fn of(last: TreeHead) -> Self {
        Self { last, tried: None, verdict: Ok(()) }
    }

    /// What was last known to be durable.
    pub(super) const fn last(&self) -> TreeHead {
        self.last
    }

    /// # Errors
    /// From when on the log was found to be another, for good.
    pub(super) fn verdict(&self) -> Result<(), LogError> {
        self.verdict.clone()
    }

    /// Before entries are added to what was found: where nobody else writes, it is what this process has left behind.
    ///
    /// # Errors
    /// Where it is not, now and from now on.
    pub(super) fn alone(&mut self, found: TreeHead) -> Result<(), LogError> {
        self.verdict()?;
        if found == self.last || Some(found) == self.tried {
            return Ok(());
        }
        let whose = "somebody else has written the database, or an old one was put in its place";
        self.lose(found, whose)
    }

    /// Where others write as well, it is at least that.
    ///
    /// # Errors
    /// As [`Witness::alone`].
    pub(super) fn among_others(&mut self, found: TreeHead) -> Result<(), LogError> {
        self.verdict()?;
        if found.size > self.last.size || found == self.last {
            return Ok(());
        }
        self.lose(found, "an old database was put in the place of this one")
    }

    /// Now and from now on, the log is not what it was.
    pub(super) fn lose(&mut self, found: TreeHead, whose: &str) -> Result<(), LogError> {
        let TreeHead { size, root } = found;
        self.verdict = Err(LogError(format!(
            "the log has {size} entries and the root {root}, and this process has last left {} with the root {}: {whose}. \
             Nothing is written any more. {RESTORE}",
            self.last.size, self.last.root
        )));
        tracing::error!(reason = self.verdict.as_ref().err().map(|error| &error.0), "the log has been lost");
        self.verdict()
    }

    /// A commit is under way that leads to `head`.
    pub(super) const fn trying(&mut self, head: TreeHead) {
        self.tried = Some(head);
    }

    /// It has succeeded, or `head` was found to be durable.
    pub(super) const fn committed(&mut self, head: TreeHead) {
        self.last = head;
        self.tried = None;
    }
}

/// What is read of a log to see whether its parts fit together: little, whatever its size.
pub(super) struct Parts {
    pub(super) head: HeadRow,
    /// Entries that are there, by the last index.
    pub(super) entries: i64,
    /// Those of [`Parts::tiles`].
    pub(super) tiles: BTreeMap<TileId, Vec<u8>>,
    /// Of the entries from [`Parts::first`] on.
    pub(super) leaves: Vec<Hash>,
    pub(super) checkpoint: Option<CheckpointRow>,
}

impl Parts {
    /// The tiles that tell of the edge and of the last leaves of a log, and of the edge at its checkpoint.
    pub(super) fn tiles(head: &HeadRow, checkpoint: Option<&CheckpointRow>) -> Vec<TileId> {
        let checkpoint = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        let last = TileId { level: 0, number: Self::first(head).cast_unsigned() / TILE_WIDTH };
        let sizes = [head.size, checkpoint].map(i64::cast_unsigned);
        let mut tiles: Vec<_> = sizes.into_iter().flat_map(TileId::at_edge).chain([last]).collect();
        tiles.sort_unstable();
        tiles.dedup();
        tiles
    }

    /// The first entry of the last tile.
    pub(super) const fn first(head: &HeadRow) -> i64 {
        let width = TILE_WIDTH.cast_signed();
        match head.size {
            size if size > 0 => (size - 1) / width * width,
            _ => 0,
        }
    }

    /// The head, where everything fits.
    ///
    /// # Errors
    /// With what does not, and what to do.
    pub(super) fn check(self) -> Result<TreeHead, LogError> {
        let edge = self.head.edge()?;
        let head = edge.head();
        let damaged = |what: String| LogError(format!("{what}. {RESTORE}"));
        if self.entries != self.head.size {
            let (size, entries) = (self.head.size, self.entries);
            let what = if entries < size { "the last ones are missing" } else { "the tree lacks some" };
            return Err(damaged(format!("its head speaks of {size} entries, there are {entries}: {what}")));
        }
        let read = |size| Edge::of_tiles(size, |tile| self.tiles.get(&tile).cloned());
        if read(head.size) != Some(edge) {
            return Err(damaged("its last tiles have another root than its head".to_owned()));
        }
        let first = Self::first(&self.head);
        let last = self.tiles.get(&TileId { level: 0, number: first.cast_unsigned() / TILE_WIDTH });
        let leaves: Vec<u8> = self.leaves.iter().flat_map(|leaf| leaf.0).collect();
        if head.size > 0 && last != Some(&leaves) {
            return Err(damaged(format!(
                "the entries from {first} on are not those that its tiles speak of"
            )));
        }
        let Some(checkpoint) = self.checkpoint.map(CheckpointRow::checkpoint).transpose()? else {
            return Ok(head);
        };
        let size = checkpoint.head.size;
        if size > head.size {
            return Err(damaged(format!(
                "a checkpoint of {size} entries was published, and its head speaks of {}: an old state of it was restored",
                head.size
            )));
        }
        match read(size) {
            Some(edge) if edge.head() == checkpoint.head => Ok(head),
            _ => Err(damaged(format!("its tiles have another root at {size} entries than the checkpoint"))),
        }
    }
}
