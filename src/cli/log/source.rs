//! Where a log is read from: the server, or a folder with its tiles.

use std::path::{Path, PathBuf};

use futures::{Stream, StreamExt as _, stream};

use crate::cli::Failure;
use crate::cli::api::failed;
use crate::client::Client;
use crate::tlog::{Row, TILE_WIDTH, TilePath, entries_of};

/// Tiles that are on their way at once.
pub(super) const AHEAD: usize = 4;

/// Reads what a log publishes. Nothing of it is believed here.
pub(super) enum Source<'a> {
    Server(&'a Client),
    /// With the paths of c2sp.org/tlog-tiles below it.
    Mirror(&'a Path),
}

impl Source<'_> {
    pub(super) async fn checkpoint(&self) -> Result<String, Failure> {
        let bytes = match self {
            Self::Server(client) => client.bytes("/log/checkpoint").await.map_err(failed)?,
            Self::Mirror(folder) => read(&folder.join("checkpoint"))?,
        };
        String::from_utf8(bytes).map_err(|_| Failure::refused("the checkpoint is no text"))
    }

    /// The tile, or its beginning where a mirror has a wider one.
    pub(super) async fn tile(&self, path: TilePath) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Server(client) => client.bytes(&format!("/log/tile/{path}")).await.map_err(failed),
            Self::Mirror(folder) => match read(&folder.join("tile").join(path.to_string())) {
                Err(_) if !path.is_full() => {
                    let full = TilePath { width: TilePath::WIDTH, ..path };
                    let mut bytes = read(&folder.join("tile").join(full.to_string()))?;
                    bytes.truncate(usize::from(path.width) * 32);
                    Ok(bytes)
                }
                tile => tile,
            },
        }
    }

    /// Tiles that are needed at once.
    pub(super) async fn tiles(&self, paths: Vec<TilePath>) -> Result<Vec<(TilePath, Vec<u8>)>, Failure> {
        let mut tiles = Vec::with_capacity(paths.len());
        for path in paths {
            tiles.push((path, self.tile(path).await?));
        }
        Ok(tiles)
    }

    /// The entries of the tile `number`, of which the log has `width`.
    pub(super) async fn entries(&self, number: u64, width: u16) -> Result<Vec<Vec<u8>>, Failure> {
        let path = TilePath { row: Row::Entries, number, width };
        let bundle = match self {
            Self::Server(client) => client.bytes(&format!("/log/tile/{path}")).await.map_err(failed)?,
            Self::Mirror(folder) => {
                let full = TilePath { width: TilePath::WIDTH, ..path };
                let file = |path: TilePath| folder.join("tile").join(path.to_string());
                read(&file(path)).or_else(|error| read(&file(full)).map_err(|_| error))?
            }
        };
        let entries = entries_of(&bundle).take(usize::from(width)).map(|entry| entry.map(<[u8]>::to_vec));
        let entries: Vec<_> = entries
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::refused(format!("{path}: {error}")))?;
        if entries.len() != usize::from(width) {
            let many = entries.len();
            return Err(Failure::refused(format!(
                "the tile of entries {path} has {many} entries: some are missing"
            )));
        }
        Ok(entries)
    }

    /// The tiles of entries that have those from `first` to below `end`, of a log of `size`: each whole, with the index of
    /// its first entry.
    pub(super) fn bundles(
        &self,
        first: u64,
        end: u64,
        size: u64,
    ) -> impl Stream<Item = Result<(u64, Vec<Vec<u8>>), Failure>> {
        let numbers = stream::iter(first / TILE_WIDTH..end.div_ceil(TILE_WIDTH));
        let bundles = numbers.map(move |number| async move {
            let begin = number * TILE_WIDTH;
            let width = (size - begin).min(TILE_WIDTH) as u16;
            self.entries(number, width).await.map(|entries| (begin, entries))
        });
        bundles.buffered(AHEAD)
    }
}

/// The tile out of those that were fetched, for a computation that was planned with [`crate::tlog::tiles_for`].
pub(super) fn from_fetched(
    tiles: &[(TilePath, Vec<u8>)],
) -> impl FnMut(TilePath) -> Result<Vec<u8>, Failure> + '_ {
    |path| {
        let found = tiles.iter().find(|(known, _)| *known == path).map(|(_, bytes)| bytes.clone());
        found.ok_or_else(|| Failure::could_not_tell(format!("the tile {path} was not fetched")))
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// The file beside an export that proves its range.
pub(super) fn proof_beside(export: &Path) -> PathBuf {
    let mut name = export.as_os_str().to_owned();
    name.push(".proof");
    name.into()
}
