//! What it costs to recognise a job by its token: new, and verified before; and what a million distinct tokens leave in memory.
//!
//! `cargo bench --bench authentication -- TOKENS` prints for RS256 (2048 bits), ES256 and EdDSA `p50_us` and `p99_us` of a new
//! and of a known token, then the resident memory before and after TOKENS distinct ones. The claims are those of GitLab.

#[path = "common/gitlab.rs"]
mod gitlab;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use signet::config::IdentityConfig;
use signet::domain::{Clock as _, SystemClock};
use signet::identity::OidcAuthenticator;
use signet::metrics::Metrics;
use tokio_util::sync::CancellationToken;

use self::gitlab::Keys;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(tokens) = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok()) else {
        // `cargo bench` starts every target; this one does nothing by itself.
        println!("say how many distinct tokens: cargo bench --bench authentication -- 1000000");
        return Ok(());
    };
    signet::server::install_crypto();
    let directory = tempfile::tempdir()?;
    let keys = Keys::new()?;
    let stopped = CancellationToken::new();
    let authenticator = authenticator(&keys, directory.path(), &stopped)?;
    for (name, sample) in [("RS256", 2_000), ("ES256", 5_000), ("EdDSA", 5_000)] {
        let tokens = (0..sample).map(|number| keys.token(name, number)).collect::<Result<Vec<_>, _>>()?;
        for known in [false, true] {
            let mut took = Vec::with_capacity(sample);
            for token in &tokens {
                let began = Instant::now();
                authenticator.authenticate(token).await?;
                took.push(began.elapsed().as_secs_f64() * 1e6);
            }
            took.sort_unstable_by(f64::total_cmp);
            let (p50, p99) = (took[sample / 2], took[sample * 99 / 100]);
            let what = if known { "known" } else { "new" };
            println!(
                "{name} {what}: tokens={sample} bytes={} p50_us={p50:.1} p99_us={p99:.1}",
                tokens[0].len()
            );
        }
    }
    let (mut signing, mut authenticating) = (0.0, 0.0);
    println!("memory: tokens=0 rss_mib={:.1}", resident_mib()?);
    for number in 1..=tokens {
        let began = Instant::now();
        let token = keys.token("EdDSA", 1_000_000_000 + number)?;
        signing += began.elapsed().as_secs_f64();
        let began = Instant::now();
        authenticator.authenticate(&token).await?;
        authenticating += began.elapsed().as_secs_f64();
        if number == tokens || number % (tokens / 10).max(1) == 0 {
            println!("memory: tokens={number} rss_mib={:.1}", resident_mib()?);
        }
    }
    println!(
        "distinct: tokens={tokens} signing_seconds={signing:.1} authenticating_seconds={authenticating:.1}"
    );
    stopped.cancel();
    Ok(())
}

fn authenticator(
    keys: &Keys,
    directory: &Path,
    stopped: &CancellationToken,
) -> Result<OidcAuthenticator, Failure> {
    let file = directory.join("keys.json");
    std::fs::write(&file, keys.published().to_string())?;
    let text = format!(
        "audience = 'https://signet.example.com'\n[[issuers]]\nname = 'gitlab'\nplatform = 'gitlab'\n\
         issuer = 'https://gitlab.example.com'\nalgorithms = ['RS256', 'ES256', 'EdDSA']\njwks_file = '{}'\n",
        file.display()
    );
    let identity: IdentityConfig = toml::from_str(&text)?;
    Ok(OidcAuthenticator::start(&identity, Arc::new(SystemClock), &Arc::new(Metrics::new()), stopped)?)
}

fn resident_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
