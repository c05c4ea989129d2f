//! 32 signers on one image at once, while four foreign cosigns sign the same image in a loop. Registries know no conditional
//! writes, and cosign does not look whether its signature stayed: it reads what is there, and writes over it what it read and
//! its own. What Signet attached is looked at again and put back, so that in the end all of it is there.
//!
//! `tests/run soak` looks again after 5 s and 60 s, as by default, and shows how many signatures of the others were kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clients::{Clients, Cosign, Layout};
use crate::registries::{demand_real_servers, world_with};

use crate::support::soak;
use crate::support::world::Settings;
use crate::support::{Answer, Signet, World, servers};
use crate::upstream::{SIGNATURE, Upstream, digest_of, signature_tag};

const SIGNERS: usize = 32;
const FOREIGN: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn storm_of_foreign_signers_one_process_keeps_all_of_its_cosign_signatures() {
    keeps_all("distribution-3", Layout::Cosign, 1, FOREIGN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storm_of_foreign_signers_two_replicas_keep_all_of_their_cosign_signatures() {
    keeps_all("distribution-3", Layout::Cosign, 2, FOREIGN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storm_of_foreign_signers_one_process_keeps_all_of_its_bundles_in_a_fallback_index() {
    // Whoever looks for a bundle opens all that there are: few others are enough to make that many.
    keeps_all("distribution-2.8", Layout::Bundle, 1, if soak() { FOREIGN } else { 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storm_of_foreign_signers_one_process_keeps_all_of_its_bundles_where_the_registry_lists_them() {
    keeps_all("ociregistry", Layout::Bundle, 1, FOREIGN).await;
}

/// How the test runs: long, as in production, or short.
struct Times {
    look_again: &'static str,
    /// How long the foreign ones go on after the last answer.
    foreign: Duration,
    /// How long the looks may take after they have stopped.
    patience: Duration,
}

impl Times {
    fn chosen() -> Self {
        match soak() {
            true => Self {
                look_again: "look_again = ['5s', '60s']",
                foreign: Duration::from_secs(30),
                patience: Duration::from_secs(300),
            },
            false => Self {
                look_again: "look_again = ['1s', '2s']",
                foreign: Duration::from_secs(2),
                patience: Duration::from_secs(60),
            },
        }
    }
}

async fn keeps_all(registry: &'static str, layout: Layout, replicas: usize, others: usize) {
    demand_real_servers();
    let times = Times::chosen();
    let lines = vec![
        ("attach", times.look_again.to_owned()),
        // The foreign ones sign without end, and verifiers' limit is not the subject here.
        ("registries", "max_signatures_per_image = 900".to_owned()),
        // Nor is it how long one waits for 31 others on a machine that is busy with cosigns.
        ("limits", "request_timeout = '10m'".to_owned()),
    ];
    // Replicas share a log in PostgreSQL.
    let settings =
        Settings { lines, registry: Some(registry), postgres: replicas > 1, ..Settings::default() };
    let world = world_with(settings).await;
    let replicas: Vec<_> =
        (1..replicas).map(|_| Signet::serve(&world.directory.path().join("signet.toml"))).collect();
    let signets: Vec<_> = std::iter::once(&world.signet).chain(&replicas).collect();
    let image = world.push_image().await;
    let foreign = Foreign::start(&world, &image, layout, others).await;

    let began = Instant::now();
    let requests = (0..SIGNERS).map(|number| {
        sign(
            &world,
            signets[number % signets.len()],
            json!({
                "image": image, "format": layout.name(), "annotations": {"number": number.to_string()},
            }),
        )
    });
    let answers = join_all(requests).await;
    let took = began.elapsed();
    let attached = answers.iter().filter(|answer| answer.status == 201).count();
    let at_the_answer = ours(&world, &image, layout, &answers).await;
    tokio::time::sleep(times.foreign).await;
    let made = foreign.stop().await;
    let when_they_stopped = ours(&world, &image, layout, &answers).await;

    let stopped = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    // What waits is counted every 5 s.
    while stopped.elapsed() < Duration::from_secs(6) || waiting(&world).await > 0 {
        assert!(stopped.elapsed() < times.patience, "the looks did not end: {:?}", world.signet.log_lines());
        pause.tick().await;
    }
    let at_last = ours(&world, &image, layout, &answers).await;
    let all = all(&world, &image, layout).await;
    println!(
        "{registry}, {layout:?}, {} process(es) beside {others} foreign: {attached} of {SIGNERS} answers say attached, after {took:.1?}; \
         there at the last answer: {at_the_answer}; when the others stopped: {when_they_stopped}; \
         {:.0?} later: {at_last}. The others made {made} signatures, {} were kept.",
        signets.len(),
        stopped.elapsed(),
        all.len() - at_last,
    );
    for answer in &answers {
        assert!(matches!(answer.status.as_u16(), 201 | 503), "{answer:?}");
    }
    assert_eq!(at_last, SIGNERS);
}

/// Foreign cosigns that sign an image with a key of their own, each again and again.
struct Foreign {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Foreign {
    /// Returns when each of them has signed once.
    async fn start(world: &World, image: &str, layout: Layout, processes: usize) -> Self {
        let key = servers::unique("foreign");
        world.vault_call(Method::POST, &format!("transit/keys/{key}"), json!({"type": "ecdsa-p256"})).await;
        let stop = Arc::new(AtomicBool::new(false));
        let made = Arc::new(AtomicUsize::new(0));
        let image = Upstream::of(world).image(digest_of(image));
        let tasks = (0..processes).map(|process| {
            let (stop, made, key, image) = (stop.clone(), made.clone(), key.clone(), image.clone());
            let home = world.directory.path().join(format!("foreign-{process}"));
            let clients = Clients::at_home(&home, &world.vault);
            let version = if layout == Layout::Cosign && process % 2 == 0 { Cosign::V2 } else { Cosign::V3 };
            tokio::spawn(async move {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let annotation = format!("by={process}-{round}");
                    clients.cosign_sign(version, layout, &key, &image, &["-a", &annotation]).await;
                    made.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let tasks = tasks.collect();
        let begun = async || (made.load(Ordering::Relaxed) >= processes).then_some(());
        world.eventually("the foreign ones sign", begun).await;
        Self { stop, made, tasks }
    }

    /// How many signatures they made, by their own account.
    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.made.load(Ordering::Relaxed)
    }
}

async fn sign(world: &World, signet: &Signet, request: Value) -> Answer {
    let post = world.client.request(Method::POST, format!("{}/v1/signatures", signet.api));
    let post = post.bearer_auth(&world.token).timeout(Duration::from_secs(600)).json(&request);
    Answer::read(post.send().await.unwrap()).await
}

/// What hangs on the image: the signatures of layers, or the digests of bundles' manifests.
async fn all(world: &World, image: &str, layout: Layout) -> Vec<String> {
    let upstream = Upstream::of(world);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match layout {
        Layout::Cosign => {
            let manifest = upstream.manifest(&signature_tag(digest_of(image))).await;
            let layers = manifest["layers"].as_array().unwrap();
            layers.iter().map(|layer| text(&layer["annotations"][SIGNATURE])).collect()
        }
        Layout::Bundle => {
            let referrers = upstream.referrers(digest_of(image)).await;
            referrers.iter().map(|referrer| text(&referrer["digest"])).collect()
        }
    }
}

/// How many of the 32 are there, each counted once.
async fn ours(world: &World, image: &str, layout: Layout, answers: &[Answer]) -> usize {
    let query = format!("digest={}&kind=outcome&limit=100", digest_of(image));
    let outcomes = world.entries(&query).await;
    let wanted: Vec<Value> = match layout {
        Layout::Cosign => outcomes.iter().map(|entry| entry["signature"].clone()).collect(),
        Layout::Bundle => {
            let manifests = answers.iter().map(|answer| answer.body["signatures"][0]["manifest"].clone());
            manifests.collect()
        }
    };
    let there = all(world, image, layout).await;
    wanted.iter().filter(|wanted| there.iter().any(|there| **wanted == **there)).count()
}

/// How much the outbox still has to do.
async fn waiting(world: &World) -> usize {
    let metrics = world.metrics().await;
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("signet_outbox{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as usize).sum()
}
