//! Questions to a long log.
//!
//! `cargo bench --bench search -- --entries 10000000` fills a log, has it indexed, and prints how long each kind of question
//! takes, each with its most selective and its broadest condition; what requests look up; how far the index is
//! behind under load; and what it takes of disk and memory. `--store postgres --url postgres://…` does the same over
//! an empty database; what is not in PostgreSQL's memory then can not be told apart.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use signet::config::{LogBackend, LogConfig};
use signet::domain::{
    Annotations, AttachResult, BatchId, Claim, Clock as _, Digest, Entry, EntryFilter, Event, Format,
    KeyReference, KeyVersion, MatchedClaims, Operation, Outcome, Pattern, Principal, Reach, RequestId,
    Ruling, SignatureId, SignatureIdentity, Signing, Subject, SystemClock, Timestamp,
};
use signet::log::{GroupCommitLog, Guard};
use signet::metrics::Metrics;
use signet::ports::{
    CountQuery, CountedOf, EntryQuery, Grouping, LogSearch as _, NewEntry, Order, SignatureFilter,
    SignatureQuery, SignatureState, SignaturesOf, SigningLog as _, Store, StoreReader, Writes,
};
use signet::store;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 20_000)]
    entries: u64,
    #[arg(long, value_enum, default_value_t = Backend::Sqlite)]
    store: Backend,
    /// An empty database.
    #[arg(long)]
    url: Option<String>,
    /// Where the log is made, and left; none: a temporary directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Entries per second that are appended while the index follows.
    #[arg(long, default_value_t = 5000)]
    rate: u64,
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// What cargo passes on.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    Sqlite,
    Postgres,
}

const REPOSITORIES: usize = 2000;
const PRINCIPALS: usize = 500;
const KEYS: usize = 20;
const DAYS: i64 = 365;
const VERSIONS: i64 = 6;

/// The year ends today, so that what speaks of the last days finds some.
static BEGIN: LazyLock<i64> = LazyLock::new(|| {
    let today = SystemClock.now().as_second().div_euclid(86_400);
    (today + 1 - DAYS) * 86_400
});

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let directory = tempfile::tempdir()?;
    let directory = arguments.directory.clone().unwrap_or_else(|| directory.path().to_owned());
    let path = directory.join("signet.db");
    let mut config = LogConfig::sqlite(path.clone());
    if arguments.store == Backend::Postgres {
        config = LogConfig {
            backend: LogBackend::Postgres,
            path: None,
            url: Some(arguments.url.clone().ok_or("--store postgres needs --url")?.into()),
            ..config
        };
    }
    let world = World::new(arguments.entries);
    fill(&config, &world)?;
    project(&config, &world)?;
    if arguments.store == Backend::Sqlite {
        disk(&path, world.entries)?;
    }
    let cold = (arguments.store == Backend::Sqlite).then_some(path.as_path());
    questions(&config, &world, cold)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(under_load(&config, &world, arguments.rate, arguments.seconds))?;
    println!("memory of this process at its most: {} MB", memory()?);
    Ok(())
}

/// What is in the log, told by numbers alone.
struct World {
    entries: u64,
    /// How much of all each repository and those before it have: a few have most.
    shares: Vec<f64>,
}

impl World {
    fn new(entries: u64) -> Self {
        let weights = (1..=REPOSITORIES).map(|rank| 1.0 / (rank as f64).powf(1.1));
        let mut sum = 0.0;
        let shares: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self { entries, shares: shares.into_iter().map(|share| share / sum).collect() }
    }

    fn story(&self, number: u64, of: u64) -> Story {
        let mut random = StdRng::seed_from_u64(number);
        let share: f64 = random.random();
        let repository = self.shares.partition_point(|sum| *sum < share).min(REPOSITORIES - 1);
        let principal = if random.random_bool(0.8) {
            repository * 7 % PRINCIPALS
        } else {
            random.random_range(0..PRINCIPALS)
        };
        let second = (number as f64 / of.max(1) as f64 * (DAYS * 24 * 3600) as f64) as i64;
        let version = u32::try_from(second * VERSIONS / (DAYS * 24 * 3600) + 1).unwrap_or(1);
        let digest = Digest::of(&(if random.random_bool(0.2) { number / 2 } else { number }).to_be_bytes());
        Story { number, repository, principal, key: repository % KEYS, version, second, digest }
    }
}

fn repository(number: usize) -> String {
    format!("registry.example.com/team-{:03}/app-{number:04}", number % 100)
}

/// One signature.
struct Story {
    number: u64,
    repository: usize,
    principal: usize,
    key: usize,
    version: u32,
    second: i64,
    digest: Digest,
}

impl Story {
    fn id(&self) -> SignatureId {
        SignatureId::from_bytes(self.uuid(7))
    }

    /// Ordered by time, as the service's own.
    fn uuid(&self, kind: u8) -> [u8; 16] {
        let mut bytes = [0; 16];
        let millis = ((*BEGIN + self.second) as u64 * 1000) << 16;
        bytes[..8].copy_from_slice(&(millis | 0x7000).to_be_bytes());
        bytes[8..].copy_from_slice(
            &Digest::of(&[&self.number.to_be_bytes()[..], &[kind]].concat()).as_bytes()[..8],
        );
        bytes[8] = bytes[8] & 0x3f | 0x80;
        bytes
    }

    fn signing(&self) -> Signing {
        Signing {
            id: self.id(),
            key: KeyReference {
                name: format!("key-{:02}", self.key).parse().expect("a key's name"),
                version: KeyVersion::new(self.version).expect("a version"),
                fingerprint: serde_json::from_value(Digest::of(&[self.key as u8]).to_string().into())
                    .expect("a digest"),
            },
            format: Format::Cosign,
            annotations: Annotations::default(),
            claim: Claim::Image,
            payload: Digest::of(&self.number.to_le_bytes()),
        }
    }

    fn subject(&self) -> Subject {
        Subject {
            repository: Some(repository(self.repository).parse().expect("a repository")),
            digest: self.digest,
        }
    }

    fn identity(&self) -> SignatureIdentity {
        SignatureIdentity::of(&self.subject(), &self.signing())
    }

    fn entries(&self) -> Vec<Entry> {
        let mut random = StdRng::seed_from_u64(!self.number);
        let entry = |event, later| {
            let id = RequestId::from_caller(&format!("request-{:x}", self.number)).expect("a name");
            let path = serde_json::Value::from(format!("team/app-{}", self.repository));
            let claims = MatchedClaims::from([("project_path".to_owned(), path)]);
            let ruling = Ruling {
                rule: Some(format!("rule-{}", self.repository % 200)),
                policy: Digest::of(b"policy"),
                claims: claims.into(),
            };
            let time = Timestamp::from_second(*BEGIN + self.second + later).expect("a time");
            let principal = Principal::Token { name: format!("ci-{}", self.principal) };
            Entry::new(time, id, &principal, Operation::Sign, Some(self.subject()), ruling, event)
        };
        if random.random_bool(0.05) {
            return vec![entry(Event::refusal(Some(self.signing().key.name), Vec::new()), 0)];
        }
        let batch: BatchId =
            serde_json::from_value(uuid::Uuid::from_bytes(self.uuid(1)).to_string().into()).expect("a name");
        let intent = entry(Event::Intent { signing: self.signing(), batch }, 0);
        let outcome = |result| entry(Event::Outcome { signing: self.signing(), result }, 1);
        let attach = |result| entry(Event::Attach { signing: self.signing(), result }, 2);
        match random.random_range(0..1000) {
            0 => vec![intent],
            1..10 => vec![intent, outcome(Outcome::Failed { code: "vault-sealed".to_owned() })],
            luck => {
                let signed = outcome(Outcome::Signed {
                    batch,
                    signature: vec![7; 72],
                    signed_at: Timestamp::from_second(*BEGIN + self.second + 1).expect("a time"),
                    vault_request_id: Some("2f0a9c3e-8a54-4f0b-a3a5-1c7d2f3b4a5e".to_owned()),
                });
                let attached = attach(AttachResult::Attached {
                    reference: format!("{}:sha256-{}.sig", repository(self.repository), self.digest.hex()),
                    manifest: Digest::of(&self.number.to_be_bytes()),
                });
                match luck {
                    10..13 => vec![intent, signed],
                    13..16 => vec![
                        intent,
                        signed,
                        attach(AttachResult::GivenUp { code: "registry-denied".to_owned() }),
                    ],
                    16..19 => vec![
                        intent,
                        signed,
                        attached,
                        attach(AttachResult::Missing { reference: repository(self.repository) }),
                    ],
                    _ => vec![intent, signed, attached],
                }
            }
        }
    }
}

/// About so many signatures make so many entries.
const fn stories(entries: u64) -> u64 {
    entries * 10 / 29
}

fn fill(config: &LogConfig, world: &World) -> Result<(), Box<dyn Error>> {
    let mut store = store::open(config)?.store;
    let there = store.reader().head()?.0.size;
    if there >= world.entries {
        println!("the log has {there} entries already");
        return Ok(());
    }
    let begin = Instant::now();
    let (of, mut number, mut written) = (stories(world.entries), 0, 0);
    let mut group = Vec::new();
    while written < world.entries {
        for entry in world.story(number, of).entries() {
            group.push(NewEntry::try_from(entry)?);
        }
        number += 1;
        if group.len() >= 5000 || written + group.len() as u64 >= world.entries {
            written += group.len() as u64;
            store.commit(&Writes { entries: std::mem::take(&mut group), ..Writes::default() })?;
        }
    }
    store.close()?;
    println!("filled with {written} entries in {:.1?}", begin.elapsed());
    Ok(())
}

fn project(config: &LogConfig, world: &World) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let store = store::open(config)?.store;
    let mut projector = store.projector();
    while projector.step()?.more {}
    let took = begin.elapsed();
    println!(
        "indexed in {took:.1?}: {:.0} entries/s, {:.1?} of one core at 5000 entries/s",
        world.entries as f64 / took.as_secs_f64(),
        took * u32::try_from(5000 * 1000 / world.entries.max(1)).unwrap_or(0) / 1000
    );
    Ok(())
}

fn disk(path: &Path, entries: u64) -> Result<(), Box<dyn Error>> {
    let size = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        std::fs::metadata(PathBuf::from(name)).map_or(0, |file| file.len())
    };
    let (log, index) = (size(""), size(".search-a") + size(".search-b"));
    println!("disk: log {} bytes an entry, index {} bytes an entry", log / entries, index / entries);
    Ok(())
}

type Question = Box<dyn Fn(&dyn StoreReader, &mut StdRng, &World) -> Result<usize, Box<dyn Error>>>;

fn entries_of(
    order: Order,
    limit: usize,
    filter: impl Fn(&mut StdRng, &World) -> EntryFilter + 'static,
) -> Question {
    entries_within(Reach::whole(), order, limit, filter)
}

/// What somebody is answered who sees a part of the log.
fn entries_within(
    reach: Reach,
    order: Order,
    limit: usize,
    filter: impl Fn(&mut StdRng, &World) -> EntryFilter + 'static,
) -> Question {
    Box::new(move |reader, random, world| {
        let filter = filter(random, world);
        Ok(reader.query(&EntryQuery { filter, order, limit, ..EntryQuery::default() }, &reach)?.entries.len())
    })
}

fn signatures_of(
    limit: usize,
    filter: impl Fn(&mut StdRng, &World) -> SignatureFilter + 'static,
) -> Question {
    Box::new(move |reader, random, world| {
        let filter = filter(random, world);
        let query = SignatureQuery { filter, limit, ..SignatureQuery::default() };
        Ok(reader.signatures(&query, &Reach::whole())?.signatures.len())
    })
}

fn counts_of(query: impl Fn(&mut StdRng) -> CountQuery + 'static) -> Question {
    Box::new(move |reader, random, _| Ok(reader.counts(&query(random), &Reach::whole())?.groups.len()))
}

fn any(random: &mut StdRng, world: &World) -> Story {
    let of = stories(world.entries);
    world.story(random.random_range(0..of.max(1)), of)
}

fn second(second: i64) -> Option<Timestamp> {
    Timestamp::from_second(*BEGIN + second).ok()
}

fn pattern(text: &str) -> Option<Pattern> {
    Pattern::of_repositories(text).ok()
}

fn all_questions() -> Vec<(String, Question)> {
    let named = |(name, question): (&str, Question)| (name.to_owned(), question);
    let newest = |(name, question): (&str, Question)| (format!("{name}, newest first"), question);
    let entries = entry_questions(Order::OldestFirst).into_iter().map(named);
    let entries = entries.chain(entry_questions(Order::NewestFirst).into_iter().map(newest));
    entries.chain(other_questions().into_iter().map(named)).collect()
}

/// All that is asked of entries, in one order.
fn entry_questions(order: Order) -> Vec<(&'static str, Question)> {
    let none = EntryFilter::default;
    let team = || pattern("registry.example.com/team-099/*").into_iter().collect();
    vec![
        ("entries: all, 1000", entries_of(order, 1000, move |_, _| none())),
        (
            "entries: all, within a reach of 20",
            entries_within(Reach::of(team(), Vec::new()), order, 1000, move |_, _| none()),
        ),
        (
            "entries: all, within a reach of all but 20",
            entries_within(Reach::all_but(team()), order, 1000, move |_, _| none()),
        ),
        (
            "entries: refusals, within a reach of 20",
            entries_within(Reach::of(team(), Vec::new()), order, 1000, move |_, _| EntryFilter {
                denied: Some(true),
                ..none()
            }),
        ),
        (
            "entries: digest",
            entries_of(order, 100, move |random, world| EntryFilter {
                digest: Some(any(random, world).digest),
                ..none()
            }),
        ),
        (
            "entries: digest unknown",
            entries_of(order, 100, move |random, _| EntryFilter {
                digest: Some(Digest::of(&random.random::<[u8; 8]>())),
                ..none()
            }),
        ),
        (
            "entries: request",
            entries_of(order, 100, move |random, world| EntryFilter {
                request_id: Some(format!("request-{:x}", any(random, world).number)),
                ..none()
            }),
        ),
        (
            "entries: repository, rarest",
            entries_of(order, 100, move |_, _| EntryFilter {
                repository: pattern(&repository(REPOSITORIES - 1)),
                ..none()
            }),
        ),
        (
            "entries: repository, rarest, 1000",
            entries_of(order, 1000, move |_, _| EntryFilter {
                repository: pattern(&repository(REPOSITORIES - 1)),
                ..none()
            }),
        ),
        (
            "entries: repository, commonest, 1000",
            entries_of(order, 1000, move |_, _| EntryFilter {
                repository: pattern(&repository(0)),
                ..none()
            }),
        ),
        (
            "entries: glob of 20",
            entries_of(order, 1000, move |_, _| EntryFilter {
                repository: pattern("registry.example.com/team-099/*"),
                ..none()
            }),
        ),
        (
            "entries: glob of 200",
            entries_of(order, 1000, move |_, _| EntryFilter {
                repository: pattern("registry.example.com/*/app-17*"),
                ..none()
            }),
        ),
        (
            "entries: glob of all",
            entries_of(order, 1000, move |_, _| EntryFilter {
                repository: pattern("registry.example.com/**"),
                ..none()
            }),
        ),
        (
            "entries: principal, any",
            entries_of(order, 1000, move |random, _| EntryFilter {
                principal: Some(format!("token:ci-{}", random.random_range(0..PRINCIPALS))),
                ..none()
            }),
        ),
        (
            "entries: key version",
            entries_of(order, 1000, move |random, _| EntryFilter {
                key: Some(format!("key-{:02}", random.random_range(0..KEYS))),
                key_version: Some(random.random_range(1..=6)),
                ..none()
            }),
        ),
        (
            "entries: kind refusal",
            entries_of(order, 1000, move |_, _| EntryFilter { kind: Some("refusal".to_owned()), ..none() }),
        ),
        (
            "entries: kind stop (none)",
            entries_of(order, 1000, move |_, _| EntryFilter { kind: Some("stop".to_owned()), ..none() }),
        ),
        (
            "entries: rule",
            entries_of(order, 1000, move |random, _| EntryFilter {
                rule: Some(format!("rule-{}", random.random_range(0..200))),
                ..none()
            }),
        ),
        (
            "entries: a minute",
            entries_of(order, 1000, move |random, _| {
                let from = random.random_range(0..DAYS * 86_400);
                EntryFilter { from: second(from), to: second(from + 60), ..none() }
            }),
        ),
        (
            "entries: a month",
            entries_of(order, 1000, move |random, _| {
                let from = random.random_range(0..(DAYS - 31) * 86_400);
                EntryFilter { from: second(from), to: second(from + 30 * 86_400), ..none() }
            }),
        ),
        (
            "entries: refusals of a principal in a month",
            entries_of(order, 1000, move |random, _| {
                let from = random.random_range(0..(DAYS - 31) * 86_400);
                EntryFilter {
                    denied: Some(true),
                    principal: Some(format!("token:ci-{}", random.random_range(0..PRINCIPALS))),
                    from: second(from),
                    to: second(from + 30 * 86_400),
                    ..none()
                }
            }),
        ),
        (
            "entries: disjoint, two common values",
            entries_of(order, 1000, move |_, _| EntryFilter {
                repository: pattern(&repository(0)),
                key: Some("key-01".to_owned()),
                ..none()
            }),
        ),
        (
            "entries: disjoint, glob of half and a key",
            entries_of(order, 1000, move |_, _| EntryFilter {
                repository: pattern("registry.example.com/*/app-*0"),
                key: Some("key-01".to_owned()),
                ..none()
            }),
        ),
        (
            "entries: disjoint in time",
            entries_of(order, 1000, move |_, _| EntryFilter {
                key: Some("key-00".to_owned()),
                key_version: Some(6),
                to: second(10 * 86_400),
                ..none()
            }),
        ),
    ]
}

fn other_questions() -> Vec<(&'static str, Question)> {
    let no_signature = SignatureFilter::default;
    let count =
        move |by| CountQuery { by, of: None, kind: None, denied: None, from: None, to: None, top: 100 };
    let year =
        move |by| CountQuery { from: Some(*BEGIN / 86_400), to: Some(*BEGIN / 86_400 + DAYS), ..count(by) };
    let odd = move |by| CountQuery {
        from: Some(*BEGIN / 86_400 + 17),
        to: Some(*BEGIN / 86_400 + 345),
        ..count(by)
    };
    vec![
        ("signatures: all, 1000", signatures_of(1000, move |_, _| no_signature())),
        (
            "signatures: digest",
            signatures_of(100, move |random, world| SignatureFilter {
                digest: Some(any(random, world).digest),
                ..no_signature()
            }),
        ),
        (
            "signatures: key version between two times",
            signatures_of(1000, move |random, _| {
                let from = random.random_range(0..(DAYS - 31) * 86_400);
                SignatureFilter {
                    key: Some(format!("key-{:02}", random.random_range(0..KEYS))),
                    key_version: Some(u32::try_from(from * VERSIONS / (DAYS * 86_400) + 1).unwrap_or(1)),
                    from: second(from),
                    to: second(from + 30 * 86_400),
                    ..no_signature()
                }
            }),
        ),
        (
            "signatures: of which still attached",
            signatures_of(1000, move |_, _| SignatureFilter {
                key: Some("key-00".to_owned()),
                key_version: Some(3),
                state: Some(SignatureState::Attached),
                ..no_signature()
            }),
        ),
        (
            "signatures: signed, not attached",
            signatures_of(1000, move |_, _| SignatureFilter {
                state: Some(SignatureState::Signed),
                ..no_signature()
            }),
        ),
        (
            "signatures: intents without outcome",
            signatures_of(1000, move |_, _| SignatureFilter {
                state: Some(SignatureState::Pending),
                ..no_signature()
            }),
        ),
        (
            "signatures: missing, of one rare repository",
            signatures_of(1000, move |_, _| SignatureFilter {
                state: Some(SignatureState::Missing),
                repository: pattern(&repository(REPOSITORIES - 1)),
                ..no_signature()
            }),
        ),
        (
            "signatures: glob of all, failed",
            signatures_of(1000, move |_, _| SignatureFilter {
                repository: pattern("registry.example.com/**"),
                state: Some(SignatureState::Failed),
                ..no_signature()
            }),
        ),
        (
            "signatures: disjoint",
            signatures_of(1000, move |_, _| SignatureFilter {
                repository: pattern(&repository(0)),
                key: Some("key-01".to_owned()),
                ..no_signature()
            }),
        ),
        ("counts: by day, a year", counts_of(move |_| year(Grouping::Day))),
        ("counts: by month", counts_of(move |_| count(Grouping::Month))),
        ("counts: top 100 repositories", counts_of(move |_| count(Grouping::Repository))),
        ("counts: top repositories, odd days", counts_of(move |_| odd(Grouping::Repository))),
        (
            "counts: top 100 principals, refusals",
            counts_of(move |_| CountQuery { denied: Some(true), ..odd(Grouping::Principal) }),
        ),
        ("counts: by key", counts_of(move |_| count(Grouping::Key))),
        ("counts: by kind", counts_of(move |_| count(Grouping::Kind))),
        (
            "counts: by day, one repository",
            counts_of(move |random| CountQuery {
                of: pattern(&repository(random.random_range(0..REPOSITORIES))).map(CountedOf::Repository),
                ..year(Grouping::Day)
            }),
        ),
        (
            "counts: by day, glob of all",
            counts_of(move |_| CountQuery {
                of: pattern("registry.example.com/**").map(CountedOf::Repository),
                ..year(Grouping::Day)
            }),
        ),
        (
            "lookup: record",
            Box::new(|reader, random, world| Ok(reader.of_signature(any(random, world).id())?.len())),
        ),
        (
            "lookup: find",
            Box::new(|reader, random, world| {
                Ok(reader.of_identities(&[any(random, world).identity()])?.concat().len())
            }),
        ),
        (
            "lookup: find, unknown",
            Box::new(|reader, random, world| {
                let story = Story { digest: Digest::of(&random.random::<[u8; 8]>()), ..any(random, world) };
                Ok(reader.of_identities(&[story.identity()])?.concat().len())
            }),
        ),
        (
            "lookup: signatures of an image",
            Box::new(|reader, random, world| {
                let story = any(random, world);
                Ok(reader
                    .of_subject(&SignaturesOf { subject: story.subject(), key: story.signing().key.name })?
                    .len())
            }),
        ),
    ]
}

fn questions(config: &LogConfig, world: &World, cold: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let store = store::open(config)?.store;
    let mut store: Option<Box<dyn Store>> = Some(store);
    println!("{:<60} {:>9} {:>9} {:>9} {:>9} {:>7}", "", "warm p50", "p99", "cold p50", "max", "results");
    for (name, question) in all_questions() {
        let mut random = StdRng::seed_from_u64(1);
        let reader = store.as_ref().ok_or("no store")?.reader();
        let mut results = 0;
        let mut ask = |reader: &dyn StoreReader| -> Result<Duration, Box<dyn Error>> {
            let begin = Instant::now();
            results = question(reader, &mut random, world)?;
            Ok(begin.elapsed())
        };
        for _ in 0..5 {
            ask(&*reader)?;
        }
        let mut warm = (0..200).map(|_| ask(&*reader)).collect::<Result<Vec<_>, _>>()?;
        warm.sort_unstable();
        let mut without = Vec::new();
        drop(reader);
        if let Some(path) = cold {
            for _ in 0..15 {
                drop(store.take());
                forget(path)?;
                let opened = store::open(config)?.store;
                without.push(ask(&*opened.reader())?);
                store = Some(opened);
            }
        }
        without.sort_unstable();
        let of = |times: &[Duration], place: usize| {
            times
                .get(place)
                .map_or_else(|| "-".to_owned(), |time| format!("{:.2}", time.as_secs_f64() * 1000.0))
        };
        println!(
            "{name:<60} {:>9} {:>9} {:>9} {:>9} {results:>7}",
            of(&warm, 100),
            of(&warm, 197),
            of(&without, 7),
            of(&without, 14)
        );
    }
    println!("(milliseconds)");
    Ok(())
}

/// Has the system forget what it keeps of the files. <https://man7.org/linux/man-pages/man2/posix_fadvise.2.html>
fn forget(path: &Path) -> Result<(), Box<dyn Error>> {
    for ending in ["", "-wal", ".search-a", ".search-a-wal", ".search-b", ".search-b-wal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let name = PathBuf::from(name);
        if name.exists() {
            let dropped = Command::new("dd")
                .arg(format!("if={}", name.display()))
                .args(["iflag=nocache", "count=0", "status=none"])
                .status()?;
            assert!(dropped.success(), "dd could not drop the pages of {}", name.display());
        }
    }
    Ok(())
}

async fn under_load(
    config: &LogConfig,
    world: &World,
    rate: u64,
    seconds: u64,
) -> Result<(), Box<dyn Error>> {
    let log = GroupCommitLog::start(store::open(config)?.store, Guard::open(), Arc::new(Metrics::new()))?;
    let log = Arc::new(log);
    let begin = Instant::now();
    let cpu = cpu_of("log-projector")?;
    let (mut behind, mut number, mut times) = (Vec::new(), world.entries, Vec::<(u64, Instant)>::new());
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut sent = 0;
    while begin.elapsed() < Duration::from_secs(seconds) {
        tick.tick().await;
        let due = rate * begin.elapsed().as_millis() as u64 / 1000;
        let mut group = Vec::new();
        while sent + (group.len() as u64) < due {
            group.extend(world.story(number, stories(world.entries)).entries());
            number += 1;
        }
        if group.is_empty() {
            continue;
        }
        sent += group.len() as u64;
        let last = log.append(group).await?;
        times.push((last, Instant::now()));
        let indexed = log.progress().await?.indexed;
        let oldest = times.iter().find(|(index, _)| *index >= indexed);
        behind.push(oldest.map_or(Duration::ZERO, |(_, time)| time.elapsed()));
    }
    let took = begin.elapsed();
    behind.sort_unstable();
    println!(
        "under {:.0} entries/s: behind by {:.0?} (median), {:.0?} (p99), {:.0?} at most; the projector took {:.0} % of a core",
        sent as f64 / took.as_secs_f64(),
        behind[behind.len() / 2],
        behind[behind.len() * 99 / 100],
        behind[behind.len() - 1],
        (cpu_of("log-projector")? - cpu).as_secs_f64() / took.as_secs_f64() * 100.0
    );
    log.close().await?;
    Ok(())
}

/// Processor time of a thread of this process, from `/proc`; ticks are hundredths of seconds on every Linux.
fn cpu_of(name: &str) -> Result<Duration, Box<dyn Error>> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        if let Some((thread, rest)) = stat.split_once(") ")
            && thread.ends_with(name)
        {
            let fields: Vec<u64> =
                rest.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
            return Ok(Duration::from_millis(fields.iter().sum::<u64>() * 10));
        }
    }
    Ok(Duration::ZERO)
}

fn memory() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
