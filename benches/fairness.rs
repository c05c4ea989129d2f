//! What one caller notices of another's flood, for `benches/measure`.
//!
//! `fairness API_URL blobs|REGISTRY CONNECTIONS ROUNDS SECONDS`, with the flood's token in SIGNET_TOKEN and the one caller's
//! in SIGNET_OTHER_TOKEN, has files signed, or new images that it pushes to a registry. Each round measures the one
//! caller, who asks again as soon as the answer is there, without the flood and then with it, and prints `quiet_p50_ms`,
//! `quiet_p99_ms`, `p50_ms`, `p99_ms`, the `ratio` of the two p99, how many the one caller got, and what the flood
//! got: `flood_per_second` and `flood_refused`. The flood comes from a process of its own.

#[path = "common/images.rs"]
mod images;

use std::io::{BufRead as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::json;
use signet::domain::Digest;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Of one round: a third for the one caller, and the others for the flood.
const IMAGES: usize = 12_000;
/// How long a flood rises before anything is measured; the one caller asks meanwhile.
const RISE: Duration = Duration::from_secs(3);

fn main() -> Result<(), Failure> {
    signet::server::install_crypto();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["flood", api, path, connections] => flood(api, path, connections.parse()?),
        [api, what, connections, rounds, seconds] => {
            let seconds = Duration::from_secs(seconds.parse()?);
            measure(api, what, connections, rounds.parse()?, seconds)
        }
        // `cargo bench` starts every target; this one does nothing by itself.
        _ => {
            println!("started by benches/measure");
            Ok(())
        }
    }
}

fn measure(api: &str, what: &str, connections: &str, rounds: usize, time: Duration) -> Result<(), Failure> {
    for _ in 0..rounds {
        let (path, images) = match what {
            "blobs" => ("blobs", Vec::new()),
            registry => ("signatures", push(registry)?),
        };
        let (own, others) = images.split_at(images.len() / 3);
        let work = Work::new(api, path, std::env::var("SIGNET_OTHER_TOKEN")?, own.to_vec());
        let quiet = one(&work, time)?;
        let mut flood = Flood::start(api, path, connections, others)?;
        one(&work, RISE)?;
        let (before, began) = (flood.figures()?, Instant::now());
        let loud = one(&work, time)?;
        let (after, took) = (flood.figures()?, began.elapsed().as_secs_f64());
        drop(flood);
        let (quiet_p99, p99) = (percentile(&quiet, 99), percentile(&loud, 99));
        println!(
            "quiet_p50_ms={:.1} quiet_p99_ms={quiet_p99:.1} p50_ms={:.1} p99_ms={p99:.1} ratio={:.2} one={} flood_per_second={:.0} flood_refused={}",
            percentile(&quiet, 50),
            percentile(&loud, 50),
            p99 / quiet_p99,
            loud.len(),
            (after.0 - before.0) / took,
            after.1 - before.1,
        );
    }
    Ok(())
}

#[tokio::main]
async fn push(registry: &str) -> Result<Vec<String>, Failure> {
    images::push_images(&client()?, registry, IMAGES).await
}

/// How long each of the one caller's requests took, in milliseconds, sorted.
#[tokio::main(flavor = "current_thread")]
async fn one(work: &Work, time: Duration) -> Result<Vec<f64>, Failure> {
    let (client, began) = (client()?, Instant::now());
    let mut took = Vec::new();
    while began.elapsed() < time {
        let request = work.next(&client).ok_or("there are too few images")?;
        let asked = Instant::now();
        let answer = request.send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        if status != StatusCode::CREATED {
            return Err(format!("{status} {body}").into());
        }
        took.push(asked.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_unstable_by(f64::total_cmp);
    Ok(took)
}

/// A flood in a process of its own; it ends with this value.
struct Flood {
    process: Child,
    output: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Flood {
    fn start(api: &str, path: &str, connections: &str, images: &[String]) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["flood", api, path, connections])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut input = process.stdin.take().ok_or("no input")?;
        for image in images {
            writeln!(input, "{image}")?;
        }
        writeln!(input)?;
        process.stdin = Some(input);
        let output = std::io::BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        Ok(Self { process, output })
    }

    /// How many it got by now, and how many were refused.
    fn figures(&mut self) -> Result<(f64, u64), Failure> {
        let input = self.process.stdin.as_mut().ok_or("no input")?;
        writeln!(input, "?")?;
        let line = self.output.next().ok_or("the flood has ended")??;
        let (made, refused) = line.split_once(' ').ok_or("no figures")?;
        Ok((made.parse()?, refused.parse()?))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks for `path` on so many connections, and says how far it is for each line on standard input.
#[tokio::main]
async fn flood(api: &str, path: &str, connections: usize) -> Result<(), Failure> {
    let mut lines = std::io::stdin().lines();
    let images = lines.by_ref().take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()));
    let images: Vec<String> = images.collect::<Result<_, _>>()?;
    let work = Arc::new(Work::new(api, path, std::env::var("SIGNET_TOKEN")?, images));
    let (made, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..connections {
        let (work, made, refused, client) = (work.clone(), made.clone(), refused.clone(), client()?);
        tokio::spawn(async move {
            while let Some(request) = work.next(&client) {
                let status = match request.send().await {
                    Ok(answer) => answer.status(),
                    Err(_) => continue,
                };
                let count = if status == StatusCode::CREATED { &made } else { &refused };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for line in lines {
        line?;
        println!("{} {}", made.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    }
    Ok(())
}

/// Requests, each of which makes a signature.
struct Work {
    url: String,
    token: String,
    /// None for files, of which there are always more.
    images: Option<Vec<String>>,
    next: AtomicUsize,
}

impl Work {
    fn new(api: &str, path: &str, token: String, images: Vec<String>) -> Self {
        let images = (path == "signatures").then_some(images);
        Self { url: format!("{api}/v1/{path}"), token, images, next: AtomicUsize::new(0) }
    }

    fn next(&self, client: &Client) -> Option<RequestBuilder> {
        let body = match &self.images {
            Some(images) => json!({"image": images.get(self.next.fetch_add(1, Ordering::Relaxed))?}),
            None => json!({"digest": Digest::of(uuid::Uuid::new_v4().as_bytes()).to_string()}),
        };
        Some(client.post(&self.url).bearer_auth(&self.token).json(&body))
    }
}

/// With a connection of its own.
fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or(f64::NAN)
}
