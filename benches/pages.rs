//! The auditor's pages over a long log.
//!
//! `cargo bench --bench search -- --entries 10000000 --directory D` fills a log, and leaves it there; then
//! `cargo bench --bench pages -- --directory D` serves it with everything embedded, logs in, opens each page again and again, and prints how long the
//! answer takes, and its bytes with those of the style sheet, the script and the picture that come with it.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE};
use serde_json::Value;
use signet::dev::{Environment, Options};

#[derive(Parser)]
struct Arguments {
    /// Where the log is; none: a small one is made.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// How often each page is opened.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// What cargo passes on.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    tokio::runtime::Runtime::new()?.block_on(measure(arguments))
}

async fn measure(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let data_dir = arguments.directory.unwrap_or_else(|| temporary.path().to_owned());
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let environment = Environment::start(Options { listen, registry_listen: listen, data_dir }).await?;
    let base = format!("http://{}", environment.server.api_address());
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(Vec::new())
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let cookie = log_in(&client, &base, &environment.token).await?;
    let pages = pages(&client, &base, &environment.token).await?;
    let assets = assets(&client, &base).await?;

    println!("{:<52} {:>6} {:>8} {:>8} {:>8} {:>9}", "page", "status", "median", "p95", "most", "bytes");
    for (name, path) in pages {
        let (mut times, mut bytes, mut status) = (Vec::new(), 0, 0);
        for _ in 0..arguments.rounds {
            let began = Instant::now();
            let answer = client.get(format!("{base}{path}")).header(COOKIE, &cookie).send().await?;
            status = answer.status().as_u16();
            bytes = answer.bytes().await?.len();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let at = |part: usize| milliseconds(times[(times.len() - 1) * part / 100]);
        let (median, p95, most) = (at(50), at(95), at(100));
        println!("{name:<52} {status:>6} {median:>8.1} {p95:>8.1} {most:>8.1} {:>9}", bytes + assets);
    }
    println!("(milliseconds; {assets} of the bytes are kept by the browser from page to page)");
    environment.stop().await;
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn log_in(client: &reqwest::Client, base: &str, token: &str) -> Result<String, Box<dyn Error>> {
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
    let request = client.post(format!("{base}/audit/login")).header(ORIGIN, base);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = request.send().await?;
    let cookie = answer.headers().get(SET_COOKIE).ok_or("nobody was logged in")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// Bytes of what every page loads besides.
async fn assets(client: &reqwest::Client, base: &str) -> Result<usize, Box<dyn Error>> {
    let page = client.get(format!("{base}/audit/login")).send().await?.text().await?;
    let mut bytes = 0;
    for part in page.split('"').filter(|part| part.starts_with("/audit/assets/")) {
        bytes += client.get(format!("{base}{part}")).send().await?.bytes().await?.len();
    }
    Ok(bytes)
}

/// Each page, also with the conditions that are the hardest for it: out of the middle of what the log has.
async fn pages(
    client: &reqwest::Client,
    base: &str,
    token: &str,
) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let ask = async |path: &str| -> Result<Value, Box<dyn Error>> {
        Ok(client.get(format!("{base}{path}")).bearer_auth(token).send().await?.json().await?)
    };
    let size = ask("/v1/log/entries?limit=1").await?["log_size"].as_u64().unwrap_or(1);
    let middle = ask(&format!("/v1/log/entries?kind=outcome&limit=1&after={}", size / 2)).await?;
    let entry = &middle["entries"][0];
    let text = |name: &str| entry["entry"][name].as_str().unwrap_or_default().to_owned();
    let (index, id, digest) = (entry["index"].as_u64().unwrap_or_default(), text("id"), text("digest"));
    let (repository, principal) = (text("repository"), text("principal"));
    let team = repository.rsplit_once('/').map(|(team, _)| format!("{team}/**")).unwrap_or_default();
    let key = entry["entry"]["key"]["name"].as_str().unwrap_or_default().to_owned();
    let request = text("request_id");
    let month = text("time").get(..7).unwrap_or_default().to_owned();
    let search = |q: &str, more: &str| {
        let q = url::form_urlencoded::byte_serialize(q.as_bytes()).collect::<String>();
        format!("/audit/search?q={q}{more}")
    };
    let named = |name: &str, path: String| (name.to_owned(), path);
    Ok(vec![
        named("log-in", "/audit/login".to_owned()),
        named("overview", "/audit".to_owned()),
        named("search: everything", search("", "")),
        named("search: a digest", search(&digest, "")),
        named("search: a repository", search(&repository, "")),
        named("search: a pattern", search(&team, "")),
        named("search: the widest pattern", search("registry.example.com/**", "")),
        named("search: a principal", search(&principal, "")),
        named("search: a key's version", search(&format!("{key} v3"), "")),
        named("search: a request", search(&request, "")),
        named("search: nothing", search("registry.example.com/no/such", "")),
        named("search: a principal's refusals", search(&principal, "&decision=deny")),
        named("search: a pattern in a month", search(&team, &format!("&from={month}-01&to={month}-28"))),
        named("search: a page in the middle", search("", &format!("&page={}&size={size}", size / 2))),
        named("refusals", "/audit/refusals".to_owned()),
        named("signatures", "/audit/signatures".to_owned()),
        named("signatures: failed", "/audit/signatures?state=failed".to_owned()),
        named("signatures: given up, of a key", format!("/audit/signatures?state=given-up&q=key:{key}")),
        named("a story", format!("/audit/signatures/{id}")),
        named("an entry with its proof", format!("/audit/entries/{index}")),
        named("keys", "/audit/keys".to_owned()),
        named("a key: what a version signed", "/audit/keys/release?version=1".to_owned()),
    ])
}
