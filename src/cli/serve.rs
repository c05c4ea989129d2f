//! `signet serve`.

use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::filter::LevelFilter;

use super::Failure;
use crate::config;
use crate::server::{Server, exit_on_second_signal, start_telemetry, termination};

/// Run the service
///
/// SIGTERM or SIGINT stops accepting, finishes what is in flight and exits 0; a second signal exits at once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  signet serve --config /etc/signet/signet.toml")]
pub struct Serve {
    /// The configuration, TOML. Scalars can also come from the environment: SIGNET__SECTION__KEY
    #[arg(long, env = "SIGNET_CONFIG")]
    config: PathBuf,
}

impl Serve {
    pub async fn run(self) -> Result<(), Failure> {
        let config = config::load(&self.config).map_err(Failure::usage)?;
        start_telemetry(config.telemetry.log_format, LevelFilter::INFO);
        let mut signals = termination().map_err(Failure::could_not_tell)?;
        let server = Server::start(config).await.map_err(Failure::usage)?;
        signals.next().await;
        exit_on_second_signal(signals);
        server.drain().await;
        Ok(())
    }
}
