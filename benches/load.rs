//! Pushes images and has them signed by many callers at once, for `benches/measure`.
//!
//! `load push http://HOST/v2/NAME COUNT` prints the references of new images.
//! `load sign API_URL CALLERS FORMAT`, with references on standard input and the token in SIGNET_TOKEN, has each signed
//! once, and prints what it took: `signatures`, `seconds`, `per_second`, `p50_ms`, `p99_ms`, `max_ms`.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use signet::domain::{Descriptor, Digest};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const PUSHERS: usize = 8;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    signet::server::install_crypto();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["push", base, count] => push(base, count.parse()?).await,
        ["sign", api, callers, format] => sign(api, callers.parse()?, format).await,
        // `cargo bench` starts every target; this one does nothing by itself.
        _ => {
            println!("started by benches/measure");
            Ok(())
        }
    }
}

fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()
}

/// The images differ in an annotation alone, so that each costs one call.
async fn push(base: &str, count: usize) -> Result<(), Failure> {
    let client = client()?;
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let config = config.to_string().into_bytes();
    push_blob(&client, base, &config).await?;
    let run = uuid::Uuid::new_v4();
    let image = async |number: usize| {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": Descriptor::of("application/vnd.oci.image.config.v1+json", &config),
            "annotations": {"run": run, "number": number.to_string()},
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = Digest::of(&manifest);
        let put =
            client.put(format!("{base}/manifests/{digest}")).header("Content-Type", MANIFEST).body(manifest);
        put.send().await?.error_for_status()?;
        Ok::<_, Failure>(digest)
    };
    let pusher = async |first: usize| {
        let mut digests = Vec::new();
        for number in (first..count).step_by(PUSHERS) {
            digests.push(image(number).await?);
        }
        Ok::<_, Failure>(digests)
    };
    let name = base.strip_prefix("http://").ok_or("no http://")?.replacen("/v2/", "/", 1);
    for digest in try_join_all((0..PUSHERS).map(pusher)).await?.concat() {
        println!("{name}@{digest}");
    }
    Ok(())
}

async fn push_blob(client: &Client, base: &str, blob: &[u8]) -> Result<(), Failure> {
    let begun = client.post(format!("{base}/blobs/uploads/")).send().await?.error_for_status()?;
    let location = begun.headers().get("Location").ok_or("no Location")?.to_str()?;
    let mut session = url::Url::parse(base)?.join(location)?;
    session.query_pairs_mut().append_pair("digest", &Digest::of(blob).to_string());
    client.put(session).body(blob.to_vec()).send().await?.error_for_status()?;
    Ok(())
}

async fn sign(api: &str, callers: usize, format: &str) -> Result<(), Failure> {
    let token = std::env::var("SIGNET_TOKEN")?;
    let mut images = String::new();
    std::io::stdin().read_to_string(&mut images)?;
    let images: Arc<[String]> = images.lines().map(str::to_owned).collect();
    let next = Arc::new(AtomicUsize::new(0));
    let client = client()?;
    let began = Instant::now();
    let callers = (0..callers).map(|_| {
        let (client, token, images, next) = (client.clone(), token.clone(), images.clone(), next.clone());
        let url = format!("{api}/v1/signatures");
        let format = format.to_owned();
        tokio::spawn(async move {
            let mut took = Vec::new();
            while let Some(image) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
                let asked = Instant::now();
                let request =
                    client.post(&url).bearer_auth(&token).json(&json!({"image": image, "format": format}));
                let answer = request.send().await?;
                let (status, body): (_, Value) = (answer.status(), answer.json().await?);
                if status != StatusCode::CREATED {
                    return Err(format!("{image}: {status} {body}").into());
                }
                took.push(asked.elapsed());
            }
            Ok::<_, Failure>(took)
        })
    });
    let mut took = Vec::new();
    for caller in try_join_all(callers).await? {
        took.extend(caller?);
    }
    print_figures(began.elapsed(), took);
    Ok(())
}

fn print_figures(elapsed: Duration, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() - 1) * percent / 100).map_or(0.0, ms);
    println!(
        "signatures={} seconds={:.2} per_second={:.1} p50_ms={:.1} p99_ms={:.1} max_ms={:.1}",
        took.len(),
        elapsed.as_secs_f64(),
        f64::from(u32::try_from(took.len()).unwrap_or(u32::MAX)) / elapsed.as_secs_f64(),
        at(50),
        at(99),
        at(100),
    );
}

fn ms(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
