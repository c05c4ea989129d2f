//! `signet dev`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use tracing_subscriber::filter::LevelFilter;

use super::Failure;
use crate::config::LogFormat;
use crate::dev::{DevError, Environment, Options, cosign_line, demo};
use crate::server::{StartError, exit_on_second_signal, start_telemetry, termination};

/// Try Signet out: everything embedded, on loopback
///
/// Starts a stand-in for Vault's transit engine, an OCI registry and Signet in one process. Not for production.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet dev                             and paste the line that it prints
  signet dev --demo                      one full round, then exit
  signet dev --data-dir ./signet-dev     keep keys, images and log for the next time")]
pub struct Dev {
    /// Where the API listens; with --demo on a free port
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where the registry listens; with --demo on a free port
    #[arg(long, value_name = "ADDRESS")]
    registry_listen: Option<SocketAddr>,
    /// Keeps keys, images and the log; without it they are gone at the end
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Do one full round, show it, and exit
    #[arg(long)]
    demo: bool,
}

const API_PORT: u16 = 8080;
const REGISTRY_PORT: u16 = 5080;

impl Dev {
    pub async fn run(self) -> Result<(), Failure> {
        let began = Instant::now();
        start_telemetry(LogFormat::Text, LevelFilter::WARN);
        let mut signals = termination().map_err(Failure::could_not_tell)?;
        let temporary = match self.data_dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(Failure::could_not_tell)?),
        };
        let data_dir = self.data_dir.clone().or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned()));
        let default = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, if self.demo { 0 } else { port }));
        let options = Options {
            listen: loopback_only(self.listen.unwrap_or_else(|| default(API_PORT)))?,
            registry_listen: loopback_only(self.registry_listen.unwrap_or_else(|| default(REGISTRY_PORT)))?,
            data_dir: data_dir.unwrap_or_default(),
        };
        let environment = Environment::start(options).await.map_err(explain)?;
        println!("{WARNING}\n");
        if self.demo {
            let result = demo(&environment).await;
            environment.stop().await;
            return result.map_err(Failure::refused);
        }
        introduce(&environment, began);
        signals.next().await;
        exit_on_second_signal(signals);
        environment.stop().await;
        Ok(())
    }
}

const WARNING: &str = "\
*** For trying out only. The keys lie unprotected on this machine, and nothing is encrypted.
*** For signatures that count run `signet serve` with a real Vault and a real registry.";

fn introduce(environment: &Environment, began: Instant) {
    let api = environment.server.api_address();
    println!("ready after {} ms", began.elapsed().as_millis());
    println!("  API         http://{api}        page: http://{api}/docs");
    println!("  admin       http://{}        /readyz, /metrics", environment.server.admin_address());
    println!("  registry    {}        docker, crane and cosign can push there", environment.registry.address);
    println!("  Vault       http://{}        (stand-in)", environment.vault.address);
    println!("  data        {}", environment.data_dir.display());
    println!("  public key  {}", environment.public_key_file.display());
    println!("  token       {}", environment.token);
    println!("\nSign the sample image:\n");
    println!(
        "  curl -sS -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' -d '{{\"image\":\"{}\"}}' http://{api}/v1/signatures\n",
        environment.token, environment.image
    );
    println!("Verify it with the stock cosign:\n\n  {}\n", cosign_line(environment));
    println!("Ctrl-C ends it.");
}

fn loopback_only(address: SocketAddr) -> Result<SocketAddr, Failure> {
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(Failure::usage(format!(
        "{address} is no loopback address; `signet dev` listens on this machine alone"
    )))
}

fn explain(error: DevError) -> Failure {
    match &error {
        DevError::Start(StartError::Listen { setting, .. }) if setting.ends_with("listen") => {
            let flag = if setting.starts_with("http") { "--listen" } else { setting };
            Failure::usage(format!("{error}; choose another with `{flag} 127.0.0.1:PORT`"))
        }
        _ => Failure::usage(error),
    }
}
