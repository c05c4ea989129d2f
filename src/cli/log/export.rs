//! `signet log export`.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::source::{AHEAD, Source, from_fetched, proof_beside};
use crate::cli::Failure;
use crate::cli::api::{ApiArgs, progress, tell};
use crate::cli::keys::write_file;
use crate::format::ndjson;
use crate::tlog::{
    Checkpoint, Note, RangeProof, Row, TILE_WIDTH, TilePath, push_entry, range_hashes, tiles_for,
};

/// Take the log along, or a range of it, with what proves it
///
/// An export that was cut off goes on where it ended when the same command runs again. Nothing is checked here: that is
/// for `signet log verify --export` and `--mirror`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet log export -o log.ndjson                       all entries; log.ndjson.proof proves that they are all
  signet log export -o log.ndjson --from-index 1000 --to-index 2000
  signet log export --format tiles -o mirror/           entries, tiles and checkpoint as c2sp.org/tlog-tiles
  signet log verify --key-file log.keys --export log.ndjson")]
pub(super) struct Export {
    /// The file, or with `--format tiles` the folder
    #[arg(short, long, value_name = "FILE|DIR")]
    out: PathBuf,
    #[arg(long, value_enum, default_value_t = Form::Ndjson)]
    format: Form,
    /// From this entry on
    #[arg(long, value_name = "N", default_value_t = 0)]
    from_index: u64,
    /// Below this entry; default: to the end
    #[arg(long, value_name = "N")]
    to_index: Option<u64>,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// An entry a line, in the exact bytes that the log keeps
    Ndjson,
    /// A mirror of the whole log
    Tiles,
}

impl Export {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.api.client()?;
        let source = Source::Server(&client);
        let note = source.checkpoint().await?;
        let read = note.parse::<Note>().ok().and_then(|note| note.text.parse::<Checkpoint>().ok());
        let size = read.ok_or_else(|| Failure::refused("the server's checkpoint can not be read"))?.head.size;
        match self.format {
            Form::Ndjson => self.lines(&source, note, size).await,
            Form::Tiles if self.from_index > 0 || self.to_index.is_some() => {
                Err(Failure::usage("a mirror is of the whole log: leave --from-index and --to-index out"))
            }
            Form::Tiles => self.mirror(&source, &note, size).await,
        }
    }

    async fn lines(&self, source: &Source<'_>, note: String, size: u64) -> Result<(), Failure> {
        let (first, end) = (self.from_index, self.to_index.unwrap_or(size));
        if end > size || first > end {
            return Err(Failure::usage(format!(
                "the log has {size} entries: there is no range {first} to {end}"
            )));
        }
        let here = |error: std::io::Error| Failure::usage(format!("{}: {error}", self.out.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.out)
            .map_err(here)?;
        let next = resume(&mut file, first).map_err(here)?;
        if next > first {
            tell(&format!("{} has the entries up to {}: going on from there", self.out.display(), next - 1));
        }
        let mut out = BufWriter::new(file);
        let bar = progress(end.saturating_sub(first), "{bar:40} {pos}/{len} entries, {per_sec}, {eta} left");
        bar.set_position(next - first);
        let mut bundles = std::pin::pin!(source.bundles(next, end, size));
        while let Some(bundle) = bundles.next().await {
            let (begin, entries) = bundle?;
            for (index, entry) in (begin..).zip(&entries).filter(|(index, _)| (next..end).contains(index)) {
                out.write_all(&ndjson::entry(index, entry)).map_err(here)?;
                bar.inc(1);
            }
        }
        out.into_inner().map_err(|error| here(error.into_error()))?.sync_all().map_err(here)?;
        bar.finish_and_clear();
        let tiles = source.tiles(tiles_for(|tiles| range_hashes(first, end, size, tiles))).await?;
        let hashes = range_hashes(first, end, size, from_fetched(&tiles));
        let hashes =
            hashes.map_err(|_| Failure::refused("the server's tiles are not those of its checkpoint"))?;
        let proof = RangeProof { first, end, hashes, checkpoint: note };
        write_file(&proof_beside(&self.out), proof.to_string().as_bytes())?;
        tell(&format!(
            "{} has the entries from {first} to below {end}, and their proof is beside it",
            self.out.display()
        ));
        Ok(())
    }

    /// What is full never changes, and is fetched once.
    async fn mirror(&self, source: &Source<'_>, note: &str, size: u64) -> Result<(), Failure> {
        let place = |path: TilePath| self.out.join("tile").join(path.to_string());
        let rows = size.div_ceil(TILE_WIDTH);
        let entries = (0..rows).map(|number| TilePath {
            row: Row::Entries,
            number,
            width: (size - number * TILE_WIDTH).min(TILE_WIDTH) as u16,
        });
        let missing: Vec<_> =
            entries.chain(TilePath::all_of_tree(size)).filter(|path| !place(*path).exists()).collect();
        let bar = progress(missing.len() as u64, "{bar:40} {pos}/{len} tiles, {eta} left");
        let fetching = stream::iter(missing).map(|path| async move {
            let bytes = match path.row {
                Row::Hashes(_) => source.tile(path).await?,
                Row::Entries => {
                    let entries = source.entries(path.number, path.width).await?;
                    let mut bundle = Vec::new();
                    entries.iter().for_each(|entry| push_entry(&mut bundle, entry));
                    bundle
                }
            };
            Ok::<_, Failure>((path, bytes))
        });
        let mut fetching = std::pin::pin!(fetching.buffered(AHEAD));
        while let Some(tile) = fetching.next().await {
            let (path, bytes) = tile?;
            write(&place(path), &bytes)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        // The last: whoever reads it finds what it speaks of.
        write(&self.out.join("checkpoint"), note.as_bytes())?;
        tell(&format!("{} is a mirror of {size} entries", self.out.display()));
        Ok(())
    }
}

/// The index of the entry that comes next, where `file` may have some from `first` on. What is no whole line is cut off.
fn resume(file: &mut std::fs::File, first: u64) -> std::io::Result<u64> {
    let (mut next, mut end) = (first, 0);
    let mut lines = BufReader::with_capacity(1 << 20, &mut *file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let bytes = lines.read_until(b'\n', &mut line)?;
        let index = serde_json::from_slice::<Value>(&line).ok().and_then(|line| line["index"].as_u64());
        if line.last() != Some(&b'\n') || index != Some(next) {
            break;
        }
        (next, end) = (next + 1, end + bytes as u64);
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(next)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))?;
    }
    write_file(path, bytes)
}
