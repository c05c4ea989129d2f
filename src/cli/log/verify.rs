//! `signet log verify`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};

use clap::Args;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::filter::{FilterArgs, entry_of};
use super::mirror::TileCheck;
use super::query::Answers;
use super::source::{Source, from_fetched, proof_beside, read};
use crate::cli::Failure;
use crate::cli::api::{ApiArgs, Output, print_line, progress};
use crate::client::Client;
use crate::domain::EntryFilter;
use crate::tlog::{
    Checkpoint, Hash, Proof, RangeCheck, RangeProof, TreeHead, VerifierKey, consistency_proof, range_hashes,
    tiles_for, verify_consistency,
};

/// Prove what the log says: that entries are in it, that these are all, and that nothing was changed
///
/// Every entry is hashed again, and the root has to come out that a checkpoint says which one of the pinned keys has
/// signed. Without --proof, --export and --mirror, the entries are read from the server. With conditions, the entries
/// that meet them are found here, and compared with what the server answers to the same question, or with what it
/// answered (--answers): an entry that was left out, put in or changed is named.
///
/// Exits 0 where all is proven, 1 where something is wrong, and 3 where nobody can tell.
#[derive(Debug, Args)]
#[command(mut_arg("url", |url| url.required(false)), after_help = "Examples:
  curl -s https://signet.example.com/.well-known/signet/log-keys > log.keys     once, and compare it
  signet log verify --key-file log.keys                                         everything, from the server
  signet log verify --key-file log.keys --since last-year.checkpoint
  signet log verify --key-file log.keys --key release --key-version 3 \\
      --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z                     are these all?
  signet log verify --key-file log.keys --export log.ndjson --answers answer.ndjson --key release
  signet log verify --key-file log.keys --mirror mirror/
  signet log verify --key-file log.keys --proof signed.json --entry entry.json")]
pub(super) struct Verify {
    /// The keys to trust, a verifier key a line
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Check this proof alone: a tlog-proof, or a signature's answer (JSON) that has one
    #[arg(long, value_name = "FILE", requires = "entry", group = "what")]
    proof: Option<PathBuf>,
    /// The exact bytes of the proof's entry, as /v1/log/entries/N gives them
    #[arg(long, value_name = "FILE", requires = "proof")]
    entry: Option<PathBuf>,
    /// Check this export (NDJSON), with the proof beside it
    #[arg(long, value_name = "FILE", group = "what")]
    export: Option<PathBuf>,
    /// The checkpoint of an export of the whole log, where there is no proof beside it
    #[arg(long, value_name = "FILE", requires = "export")]
    checkpoint: Option<PathBuf>,
    /// Check this folder, which has a whole log as c2sp.org/tlog-tiles
    #[arg(long, value_name = "DIR", group = "what")]
    mirror: Option<PathBuf>,
    /// The log has to go on from this earlier checkpoint
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    since: Option<PathBuf>,
    /// From this entry on
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "what")]
    from_index: u64,
    /// Below this entry; default: to the end
    #[arg(long, value_name = "N", conflicts_with = "what")]
    to_index: Option<u64>,
    /// What the server answered, as `signet log query --output json` wrote it
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    answers: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    api: ApiArgs,
}

/// The keys that are trusted, and the log that they sign for.
struct Trust {
    origin: String,
    keys: Vec<VerifierKey>,
}

impl Verify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let trust = Trust::read(&self.key_file)?;
        match (&self.proof, &self.export, &self.mirror) {
            (Some(proof), ..) => self.proof(&trust, proof),
            (_, Some(export), _) => self.export(&trust, export).await,
            (_, _, Some(folder)) => self.tiles(&trust, &Source::Mirror(folder)).await,
            _ => {
                let client = self.api.client()?;
                self.tiles(&trust, &Source::Server(&client)).await
            }
        }
    }

    fn proof(&self, trust: &Trust, file: &Path) -> Result<(), Failure> {
        let text = text_of(file)?;
        let text = match serde_json::from_str::<Value>(&text) {
            Ok(answer) => {
                let proof = answer["log"]["proof"].as_str().map(str::to_owned);
                proof.ok_or_else(|| {
                    Failure::refused(format!("{}: the answer has no `log.proof`", file.display()))
                })?
            }
            Err(_) => text,
        };
        let proof: Proof =
            text.parse().map_err(|error| Failure::refused(format!("{}: {error}", file.display())))?;
        let entry =
            self.entry.as_deref().ok_or_else(|| Failure::usage("name the proof's entry with --entry"))?;
        let leaf = Hash::of_leaf(&read(entry)?);
        let checkpoint = proof.verify(leaf, &trust.origin, &trust.keys).map_err(Failure::refused)?;
        let (index, TreeHead { size, root }) = (proof.index, checkpoint.head);
        let answer = json!({
            "verified": true, "origin": trust.origin, "index": index, "size": size, "root": root.to_string(),
        });
        let words = || format!("entry {index} is in {} with {size} entries", trust.origin);
        self.api.output.answer(&answer, words);
        Ok(())
    }

    async fn export(&self, trust: &Trust, file: &Path) -> Result<(), Failure> {
        let proof = match &self.checkpoint {
            Some(checkpoint) => {
                let note = text_of(checkpoint)?;
                let head =
                    Checkpoint::open(&note, &trust.origin, &trust.keys).map_err(Failure::refused)?.head;
                RangeProof { first: 0, end: head.size, hashes: Vec::new(), checkpoint: note }
            }
            None => {
                let beside = proof_beside(file);
                let proof = text_of(&beside)?.parse::<RangeProof>();
                proof.map_err(|error| Failure::refused(format!("{}: {error}", beside.display())))?
            }
        };
        let (first, end) = (proof.first, proof.end);
        let since = self.since(trust)?;
        if since.is_some_and(|since| !(first..=end).contains(&since.size)) {
            return Err(Failure::could_not_tell(
                "the earlier checkpoint is not of a size within the export: only the whole log (--mirror, or the server) can \
                 show that it goes on from there",
            ));
        }
        let mut walk = Walk::new(self, trust, proof, since, self.answers(None, first, end)?)?;
        let opened =
            File::open(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        for line in BufReader::with_capacity(1 << 20, opened).lines() {
            let line = line.map_err(|error| Failure::refused(format!("{}: {error}", file.display())))?;
            if !line.starts_with("{\"index\":") {
                // What an export says behind the last entry.
                continue;
            }
            let line: Line<'_> = serde_json::from_str(&line).map_err(|error| {
                Failure::refused(format!("entry {} of the export: {error}", walk.check.next()))
            })?;
            let next = walk.check.next();
            if line.index != next {
                return Err(Failure::refused(format!(
                    "behind entry {} of the export comes {}, and not {next}: entries are missing, or it is a part by conditions, \
                     which proves nothing by itself",
                    next.saturating_sub(1),
                    line.index
                )));
            }
            walk.entry(line.entry.get().as_bytes()).await?;
        }
        walk.finish().await
    }

    /// Everything, or a range, out of tiles.
    async fn tiles(&self, trust: &Trust, source: &Source<'_>) -> Result<(), Failure> {
        let note = source.checkpoint().await?;
        let head = Checkpoint::open(&note, &trust.origin, &trust.keys).map_err(Failure::refused)?.head;
        let (first, end) = (self.from_index, self.to_index.unwrap_or(head.size));
        if end > head.size || first > end {
            return Err(Failure::usage(format!(
                "the log has {} entries: there is no range {first} to {end}",
                head.size
            )));
        }
        let paths = tiles_for(|tiles| range_hashes(first, end, head.size, tiles));
        let tiles = source.tiles(paths).await?;
        let hashes =
            range_hashes(first, end, head.size, from_fetched(&tiles)).map_err(|error| could_not(&error))?;
        let proof = RangeProof { first, end, hashes, checkpoint: note };
        let mut since = self.since(trust)?;
        if let Some(old) = since
            && !(first..=end).contains(&old.size)
        {
            goes_on(source, old, head).await?;
            since = None;
        }
        let client = match source {
            Source::Server(client) => Some(*client),
            Source::Mirror(_) => None,
        };
        let answers = self.answers(client, first, end)?;
        let mut walk = Walk::new(self, trust, proof, since, answers)?;
        // A mirror is checked as a whole: also the tiles from which nobody computes anything here.
        let mut check = matches!(source, Source::Mirror(_)).then(|| TileCheck::of(source, head.size));
        let mut bundles = std::pin::pin!(source.bundles(first, end, head.size));
        while let Some(bundle) = bundles.next().await {
            let (begin, entries) = bundle?;
            for (index, bytes) in (begin..).zip(&entries) {
                if let Some(check) = &mut check {
                    check.push(Hash::of_leaf(bytes)).await?;
                }
                if (first..end).contains(&index) {
                    walk.entry(bytes).await?;
                }
            }
        }
        if let Some(check) = check {
            check.finish().await?;
        }
        walk.finish().await
    }

    fn since(&self, trust: &Trust) -> Result<Option<TreeHead>, Failure> {
        let Some(file) = &self.since else { return Ok(None) };
        let opened = Checkpoint::open(&text_of(file)?, &trust.origin, &trust.keys);
        opened
            .map(|old| Some(old.head))
            .map_err(|error| Failure::refused(format!("{}: {error}", file.display())))
    }

    /// What the question is compared with, for the entries from `first` to below `end`.
    fn answers<'a>(&self, client: Option<&'a Client>, first: u64, end: u64) -> Result<Given<'a>, Failure> {
        if let Some(file) = &self.answers {
            let opened =
                File::open(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            return Ok(Given::File { lines: BufReader::new(opened).lines(), last: 0 });
        }
        let asked = self.filter.filter() != EntryFilter::default();
        Ok(match client.filter(|_| asked && end > first) {
            None => Given::Nothing,
            Some(client) => {
                let mut more = vec![("size", end.to_string())];
                if let Some(after) = first.checked_sub(1) {
                    more.push(("after", after.to_string()));
                }
                Given::Server(Answers::to(client, &self.filter, &more))
            }
        })
    }
}

/// A line of an export, or of an answer.
#[derive(Deserialize)]
struct Line<'a> {
    index: u64,
    #[serde(borrow)]
    entry: &'a RawValue,
}

/// What somebody answered to the question.
enum Given<'a> {
    Nothing,
    Server(Answers<'a>),
    File {
        lines: Lines<BufReader<File>>,
        /// The index of the last one.
        last: u64,
    },
}

impl Given<'_> {
    async fn next(&mut self) -> Result<Option<(u64, Value)>, Failure> {
        match self {
            Self::Nothing => Ok(None),
            Self::Server(answers) => answers.next().await,
            Self::File { lines, last } => loop {
                let Some(line) = lines.next() else { return Ok(None) };
                let line = line.map_err(|error| Failure::usage(format!("the answers: {error}")))?;
                if line.trim().is_empty() {
                    continue;
                }
                let mut answer: Value = serde_json::from_str(&line).map_err(|error| {
                    Failure::usage(format!("the answers have a line that is no JSON: {error}"))
                })?;
                let index = answer["index"].as_u64();
                let index = index.ok_or_else(|| Failure::usage("the answers have a line without `index`"))?;
                if index < *last {
                    return Err(Failure::usage(
                        "the answers have an older entry behind a newer one: put them in the order of `index`, as `signet log query` writes them without --newest-first",
                    ));
                }
                *last = index;
                return Ok(Some((index, answer["entry"].take())));
            },
        }
    }
}

/// Indexes of one sort, of which the first are named.
#[derive(Default)]
struct Named {
    count: u64,
    first: Vec<u64>,
}

impl Named {
    fn add(&mut self, index: u64) {
        self.count += 1;
        if self.first.len() < 100 {
            self.first.push(index);
        }
    }

    fn words(&self, what: &str) -> Option<String> {
        let list = self.first.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let more = if self.count > self.first.len() as u64 { ", …" } else { "" };
        (self.count > 0).then(|| format!("{what}: {} ({list}{more})", self.count))
    }
}

/// Goes through the entries once, and holds a few hashes.
struct Walk<'a> {
    output: Output,
    origin: &'a str,
    first: u64,
    check: RangeCheck,
    /// The earlier tree, until its size was reached.
    since: Option<TreeHead>,
    asked: bool,
    filter: EntryFilter,
    given: Given<'a>,
    /// The next one of the answers.
    ahead: Option<(u64, Value)>,
    matching: u64,
    left_out: Named,
    put_in: Named,
    changed: Named,
    bar: indicatif::ProgressBar,
}

impl<'a> Walk<'a> {
    fn new(
        verify: &Verify,
        trust: &'a Trust,
        proof: RangeProof,
        since: Option<TreeHead>,
        given: Given<'a>,
    ) -> Result<Self, Failure> {
        let (first, end) = (proof.first, proof.end);
        let check = proof.check(&trust.origin, &trust.keys).map_err(Failure::refused)?;
        if let Some(old) = since
            && old.size > check.head().size
        {
            return Err(smaller(old, check.head()));
        }
        let filter = verify.filter.filter();
        Ok(Self {
            output: verify.api.output,
            origin: &trust.origin,
            first,
            check,
            since,
            asked: filter != EntryFilter::default() || !matches!(given, Given::Nothing),
            filter,
            given,
            ahead: None,
            matching: 0,
            left_out: Named::default(),
            put_in: Named::default(),
            changed: Named::default(),
            bar: progress(end - first, "{bar:40} {pos}/{len} entries, {per_sec}, {eta} left"),
        })
    }

    async fn entry(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.reached()?;
        let index = self.check.next();
        self.check.push(Hash::of_leaf(bytes));
        self.bar.inc(1);
        if self.asked && self.filter.matches(&entry_of(index, bytes)?) {
            self.matching += 1;
            self.compare(index, bytes).await?;
        }
        Ok(())
    }

    /// The earlier checkpoint speaks of what came so far, where that is as long as its tree.
    fn reached(&mut self) -> Result<(), Failure> {
        match self.since.take_if(|old| old.size == self.check.next()) {
            Some(old) if self.check.so_far() != old => Err(other_history(old)),
            _ => Ok(()),
        }
    }

    async fn compare(&mut self, index: u64, bytes: &[u8]) -> Result<(), Failure> {
        if matches!(self.given, Given::Nothing) {
            return Ok(());
        }
        loop {
            if self.ahead.is_none() {
                self.ahead = self.given.next().await?;
            }
            match &self.ahead {
                Some((other, _)) if *other < index => {
                    self.put_in.add(*other);
                    self.ahead = None;
                }
                Some((other, entry)) if *other == index => {
                    if serde_json::from_slice::<Value>(bytes).ok().as_ref() != Some(entry) {
                        self.changed.add(index);
                    }
                    self.ahead = None;
                    return Ok(());
                }
                _ => {
                    self.left_out.add(index);
                    return Ok(());
                }
            }
        }
    }

    async fn finish(mut self) -> Result<(), Failure> {
        self.reached()?;
        while let Some((index, _)) = match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => self.given.next().await?,
        } {
            self.put_in.add(index);
        }
        self.bar.finish_and_clear();
        let end = self.check.next();
        let Self { check, left_out, put_in, changed, given, .. } = self;
        let TreeHead { size, root } = check.finish().map_err(Failure::refused)?;
        if let Given::Server(answers) = &given
            && answers.indexed_through.is_none_or(|through| through + 1 < end)
        {
            return Err(Failure::could_not_tell(
                "the server has not searched all of these entries yet, so that its answer is not complete: try again",
            ));
        }
        let wrong: Vec<_> = [
            left_out.words("entries that the answer leaves out"),
            put_in.words("entries of the answer that do not belong there"),
            changed.words("entries that the answer tells otherwise"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let compared = !matches!(given, Given::Nothing);
        if self.output == Output::Json {
            let mut answer = json!({
                "verified": wrong.is_empty(), "origin": self.origin, "first": self.first, "end": end, "size": size,
                "root": root.to_string(),
            });
            if self.asked {
                answer["matching"] = self.matching.into();
            }
            if compared {
                answer["left_out"] = json!(left_out.first);
                answer["put_in"] = json!(put_in.first);
                answer["changed"] = json!(changed.first);
            }
            print_line(&answer.to_string());
        }
        if !wrong.is_empty() {
            return Err(Failure::refused(wrong.join("; ")));
        }
        if self.output == Output::Text {
            let range = format!(
                "entries {} to {end} of {} are those of its checkpoint of {size}",
                self.first, self.origin
            );
            print_line(&match (self.asked, compared) {
                (false, _) => range,
                (true, false) => format!("{range}; {} of them meet the conditions", self.matching),
                (true, true) => format!(
                    "{range}; {} of them meet the conditions, and the answer has just these",
                    self.matching
                ),
            });
        }
        Ok(())
    }
}

impl Trust {
    fn read(file: &Path) -> Result<Self, Failure> {
        let wrong = |words: String| Failure::usage(format!("{}: {words}", file.display()));
        let text = text_of(file)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<VerifierKey> =
            lines.map(str::parse).collect::<Result<_, _>>().map_err(|error| wrong(format!("{error}")))?;
        let origin = keys.first().map(|key| key.name().to_owned());
        let origin = origin.ok_or_else(|| wrong("there is no verifier key in it".to_owned()))?;
        if keys.iter().any(|key| key.name() != origin) {
            return Err(wrong("its keys are of several logs: give each log a file of its own".to_owned()));
        }
        Ok(Self { origin, keys })
    }
}

/// That the tree of `new` goes on from that of `old`, out of tiles.
async fn goes_on(source: &Source<'_>, old: TreeHead, new: TreeHead) -> Result<(), Failure> {
    if old.size > new.size {
        return Err(smaller(old, new));
    }
    let tiles = source.tiles(tiles_for(|tiles| consistency_proof(old.size, new.size, tiles))).await?;
    let proof =
        consistency_proof(old.size, new.size, from_fetched(&tiles)).map_err(|error| could_not(&error))?;
    if verify_consistency(old, new, &proof) { Ok(()) } else { Err(other_history(old)) }
}

fn smaller(old: TreeHead, new: TreeHead) -> Failure {
    Failure::refused(format!(
        "the log has {} entries, and the earlier checkpoint speaks of {}: entries are gone",
        new.size, old.size
    ))
}

fn other_history(old: TreeHead) -> Failure {
    Failure::refused(format!(
        "the log does not go on from the earlier checkpoint of {} entries: its past was changed",
        old.size
    ))
}

fn could_not(error: &crate::tlog::TilesError<Failure>) -> Failure {
    match error {
        crate::tlog::TilesError::Source(_) => Failure::could_not_tell("a tile is missing"),
        error => Failure::refused(error.to_string()),
    }
}

fn text_of(file: &Path) -> Result<String, Failure> {
    let not_text = |_| Failure::refused(format!("{}: this is no text", file.display()));
    String::from_utf8(read(file)?).map_err(not_text)
}
