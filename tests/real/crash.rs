//! `kill -9` at every step: no signature that somebody was told of is lost, and none is made twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::registries::world_with;
use crate::support::proxy::{Call, is_signing};
use crate::support::soak;
use crate::support::world::Settings;
use crate::support::{Answer, Fault, World};

/// Where in its work Signet is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The intents are durable, and Vault has not been asked.
    Intent,
    /// Vault has signed, and Signet does not know.
    Vault,
    /// About when the outcomes are committed.
    Outcome,
    /// While a payload is uploaded.
    Upload,
    /// Before or after a tag or a bundle's manifest is written.
    Tag,
    /// Whenever.
    Any,
}

const STEPS: [Step; 6] = [Step::Intent, Step::Vault, Step::Outcome, Step::Upload, Step::Tag, Step::Any];

/// Annotations, so that several signatures share an image.
const ANNOTATED: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm_of_kills_whatever_was_answered_is_kept_and_nothing_is_signed_twice() {
    let (runs, signings) = if soak() { (200, 50) } else { (18, 10) };
    let settings = Settings { registry: Some("ociregistry"), ..Settings::default() };
    let mut world = world_with(settings).await;
    world.public_key(1).await;
    let mut answered = 0;
    for run in 0..runs {
        let step = STEPS[run % STEPS.len()];
        let format = ["cosign", "bundle"][run / STEPS.len() % 2];
        answered += one_run(&mut world, step, format, signings).await;
    }
    println!("{runs} runs of {signings} signings: {answered} were answered before the kill, all kept");
}

/// Signs, is killed, starts again, and counts.
async fn one_run(world: &mut World, step: Step, format: &str, signings: usize) -> usize {
    let images = join_all((0..signings.div_ceil(ANNOTATED)).map(|_| world.push_image())).await;
    let requests: Vec<Value> = (0..signings)
        .map(|n| json!({"image": images[n / ANNOTATED], "format": format, "annotations": {"n": n.to_string()}}))
        .collect();
    let fuse = arm(world, step, signings);
    let url = format!("{}/v1/signatures", world.signet.api);
    let send = |request: &Value| {
        let request = world.client.post(&url).bearer_auth(&world.token).body(request.to_string()).send();
        async move {
            match request.await {
                Ok(response) if response.status().is_success() => Some(Answer::read(response).await.body),
                _ => None,
            }
        }
    };
    let sending: Vec<_> = requests.iter().map(send).collect();
    let answers: Vec<Option<Value>> = stream::iter(sending).buffer_unordered(16).collect().await;
    drop(fuse);
    world.signet.kill();
    world.registry_proxy.mend();
    world.vault_proxy.mend();

    world.serve();
    let settled = async || {
        let metrics = world.metrics().await;
        metrics.contains("signet_outbox{stage=\"attach\"} 0").then_some(())
    };
    world.eventually("the outbox has attached everything", settled).await;
    let told: Vec<_> = answers.into_iter().flatten().collect();
    for answer in &told {
        assert!(is_attached(world, answer).await, "{step:?} {format}: {answer} was answered and is lost");
    }
    let again = stream::iter(&requests).map(|request| world.sign(request.clone())).buffered(16);
    for answer in again.collect::<Vec<_>>().await {
        assert!(answer.status.is_success(), "{step:?} {format}: {answer:?}");
    }
    for (n, image) in images.iter().enumerate() {
        let expected = requests.iter().filter(|request| request["image"] == **image).count();
        assert_eq!(
            world.signatures(image).await,
            expected,
            "{step:?} {format}: image {n} has another number"
        );
    }
    told.len()
}

/// Has Signet killed at `step`, at one of the calls that get there.
fn arm(world: &World, step: Step, signings: usize) -> Arc<()> {
    let fuse = Arc::new(());
    let armed = Arc::downgrade(&fuse);
    let pid = world.signet.pid();
    let mut rng = rand::rng();
    let countdown = AtomicUsize::new(rng.random_range(0..signings));
    let (pause, after) = (Duration::from_micros(rng.random_range(0..4000)), rng.random_bool(0.5));
    // The last call of a step that many share may never come; the first will do then.
    let due = move |_: &Call| {
        countdown.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err()
    };
    let kill = move || {
        if armed.strong_count() > 0 {
            kill(pid);
        }
    };
    match step {
        Step::Intent => world.vault_proxy.break_with(move |call| {
            is_signing(call).then(|| {
                kill();
                Fault::Hang
            })
        }),
        Step::Vault | Step::Outcome => {
            let kill = Arc::new(kill);
            world.vault_proxy.break_with(move |call| {
                let kill = kill.clone();
                let change = move |body: &[u8]| {
                    let kill = kill.clone();
                    match step {
                        Step::Vault => kill(),
                        _ => drop(tokio::spawn(async move {
                            tokio::time::sleep(pause).await;
                            kill();
                        })),
                    }
                    body.to_vec()
                };
                is_signing(call).then(|| Fault::Change(Arc::new(change)))
            });
        }
        Step::Upload => world.registry_proxy.break_with(move |call| {
            (call.method == "POST" && call.path.contains("/blobs/uploads/") && due(call)).then(|| {
                kill();
                Fault::Hang
            })
        }),
        Step::Tag => {
            let kill = Arc::new(kill);
            world.registry_proxy.break_with(move |call| {
                let kill = kill.clone();
                (call.method == "PUT" && call.path.contains("/manifests/") && due(call)).then(
                    || match after {
                        true => Fault::Change(Arc::new(move |body| {
                            kill();
                            body.to_vec()
                        })),
                        false => {
                            kill();
                            Fault::Hang
                        }
                    },
                )
            });
        }
        Step::Any => {
            let pause = Duration::from_millis(rng.random_range(0..250));
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                kill();
            });
        }
    }
    fuse
}

/// Whether the registry shows the signature of an answer.
async fn is_attached(world: &World, answer: &Value) -> bool {
    let image = answer["image"].as_str().unwrap();
    let layout = &answer["signatures"][0];
    match layout["format"].as_str() {
        Some("cosign") => {
            let layers = world.layers(image).await;
            layers.iter().any(|layer| {
                layer["annotations"]["dev.cosignproject.cosign/signature"] == layout["signature"]
            })
        }
        _ => {
            let bundles = world.bundles(image).await;
            bundles.iter().any(|bundle| layout["manifest"] == bundle.digest.to_string())
        }
    }
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.is_ok());
}
