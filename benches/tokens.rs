//! What a flood of distinct tokens leaves in memory, each of which is shown once: `cargo bench --bench tokens -- 1000000`.
//!
//! It prints the resident memory on the way, and the time of a new token, whose claims are those of GitLab. Both stay the same
//! however many there were.

#[path = "common/gitlab.rs"]
mod gitlab;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signet::config::IdentityConfig;
use signet::domain::SystemClock;
use signet::identity::OidcAuthenticator;
use signet::metrics::Metrics;
use tokio_util::sync::CancellationToken;

use self::gitlab::Keys;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(tokens) = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok()) else {
        // `cargo bench` starts every target; this one does nothing by itself.
        println!("say how many distinct tokens: cargo bench --bench tokens -- 1000000");
        return Ok(());
    };
    signet::server::install_crypto();
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("keys.json");
    let (keys, stopped) = (Keys::new()?, CancellationToken::new());
    std::fs::write(&file, keys.published().to_string())?;
    let mut sections: BTreeMap<String, IdentityConfig> = toml::from_str(&gitlab::identity(&file))?;
    let identity = sections.remove("identity").ok_or("no section")?;
    let authenticator =
        OidcAuthenticator::start(&identity, Arc::new(SystemClock), &Arc::new(Metrics::new()), &stopped)?;

    println!("tokens=0 rss_mib={:.1}", resident_mib()?);
    let step = (tokens / 10).max(1);
    let mut took = Duration::ZERO;
    for number in 1..=tokens {
        let token = keys.token("EdDSA", number)?;
        let began = Instant::now();
        authenticator.authenticate(&token).await?;
        took += began.elapsed();
        if number % step == 0 {
            let micros = took.as_secs_f64() * 1e6 / step as f64;
            println!("tokens={number} rss_mib={:.1} new_token_us={micros:.1}", resident_mib()?);
            took = Duration::ZERO;
        }
    }
    stopped.cancel();
    Ok(())
}

fn resident_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
