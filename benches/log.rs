//! How many entries become durable: `cargo bench --bench log`, with `SIGNET_BENCH_POSTGRES` (the URL of an empty
//! database) for PostgreSQL. Without checkpoints, which cost the log nothing but a small row, and with them, by
//! a local key: what is measured is the log, and not Vault.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use signet::config::{LogBackend, LogConfig};
use signet::domain::{
    Annotations, Claim, Clock as _, Digest, Entry, Event, Format, IdSource as _, ImageReference,
    KeyReference, KeyVersion, MatchedClaims, Operation, Outcome, Principal, RandomIds, Ruling, Signing,
    SystemClock,
};
use signet::log::{Checkpointer, GroupCommitLog, Guard};
use signet::metrics::Metrics;
use signet::ports::{SigningLog as _, Transparency as _};
use tokio_util::sync::CancellationToken;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/support/notes.rs"]
mod notes;

/// Appends that wait at once.
const CONCURRENCY: usize = 64;

#[tokio::main]
async fn main() {
    let seconds = std::env::var("SIGNET_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let long = Duration::from_secs(seconds.unwrap_or(10));
    println!("{CONCURRENCY} at once, for {long:?} each");
    println!("{:<44} {:>10} {:>10} {:>10}", "", "entries/s", "p50", "p99");
    let directory = tempfile::tempdir().expect("a folder can be made");
    for covered in [false, true] {
        let config = LogConfig::sqlite(directory.path().join(format!("{covered}.sqlite")));
        measure("SQLite", &[config], covered, long).await;
    }
    let Some(url) = std::env::var("SIGNET_BENCH_POSTGRES").ok() else {
        println!("PostgreSQL: set SIGNET_BENCH_POSTGRES to the URL of an empty database");
        return;
    };
    for covered in [false, true] {
        let config = || LogConfig {
            backend: LogBackend::Postgres,
            path: None,
            url: Some(url.clone().into()),
            ..LogConfig::sqlite(Path::new("unused").to_owned())
        };
        measure("PostgreSQL, two replicas", &[config(), config()], covered, long).await;
    }
}

/// Appends an outcome at a time, and where `covered`, waits for its checkpoint.
async fn measure(name: &str, configs: &[LogConfig], covered: bool, long: Duration) {
    let stopped = CancellationToken::new();
    let mut replicas = Vec::new();
    for config in configs {
        let store = signet::store::open(config).expect("the log can be opened").store;
        let metrics = Arc::new(Metrics::new());
        let log = Arc::new(GroupCommitLog::start(store, Guard::open(), metrics.clone()).expect("a thread"));
        let checkpoints = Checkpointer::start(
            log.clone(),
            notes::LocalNotes::new(),
            notes::ORIGIN.to_owned(),
            Arc::new(SystemClock),
            metrics,
            stopped.clone(),
        );
        replicas.push((log, checkpoints));
    }
    let (replicas, start) = (&replicas, Instant::now());
    let appends = (0..CONCURRENCY).map(async |place| {
        let (log, checkpoints) = &replicas[place % replicas.len()];
        let mut took = Vec::new();
        while start.elapsed() < long {
            let begin = Instant::now();
            let index = log.append(vec![signed()]).await.expect("it is durable");
            if covered {
                checkpoints.covered(index).await.expect("it is covered");
            }
            took.push(begin.elapsed());
        }
        took
    });
    let mut took: Vec<_> = join_all(appends).await.into_iter().flatten().collect();
    let rate = took.len() as f64 / start.elapsed().as_secs_f64();
    took.sort_unstable();
    let percentile = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let name = if covered { format!("{name}, covered") } else { name.to_owned() };
    println!("{name:<44} {rate:>10.0} {:>10.2?} {:>10.2?}", percentile(0.5), percentile(0.99));
    stopped.cancel();
}

/// An outcome of about 900 bytes, as a CI job's.
fn signed() -> Entry {
    let now = SystemClock.now();
    let image = format!("registry.example.com/team/project/app@{}", Digest::of(b"image"));
    let image: ImageReference = image.parse().expect("a reference");
    let signing = Signing {
        id: RandomIds.signature_id(now),
        key: KeyReference {
            name: "release".parse().expect("a name"),
            version: KeyVersion::new(1).expect("a version"),
            fingerprint: serde_json::from_value(Digest::of(b"key").to_string().into())
                .expect("a fingerprint"),
        },
        format: Format::Cosign,
        annotations: Annotations::default(),
        claim: Claim::Image,
        payload: Digest::of(b"payload"),
    };
    let result = Outcome::Signed {
        batch: RandomIds.batch_id(now),
        signature: vec![7; 71],
        signed_at: now,
        vault_request_id: Some("5f1c8d7a-6f0e-4ce5-9d3b-1f0c5b0c7f11".to_owned()),
    };
    let ruling = Ruling {
        rule: Some("release".to_owned()),
        policy: Digest::of(b"policy"),
        claims: MatchedClaims::new().into(),
    };
    let who = Principal::Token { name: "ci".to_owned() };
    let event = Event::Outcome { signing, result };
    Entry::new(now, RandomIds.request_id(), &who, Operation::Sign, Some((&image).into()), ruling, event)
}
