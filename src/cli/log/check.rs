//! `signet log check`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Failure;
use crate::cli::api::{print_line, progress};
use crate::config;
use crate::server::check_log;

/// Hash the whole log of a configuration again, and hold its tiles, its head and its checkpoint against that
///
/// It only reads the database, and may run while the service writes it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  signet log check --config /etc/signet/signet.toml")]
pub struct Check {
    /// The configuration, TOML
    #[arg(long, env = "SIGNET_CONFIG")]
    config: PathBuf,
}

impl Check {
    pub async fn run(self) -> Result<(), Failure> {
        let config = config::load(&self.config).map_err(Failure::refused)?;
        // Reading blocks, and the store waits on threads of its own.
        let checked = tokio::task::spawn_blocking(move || {
            let bar = progress(0, "{pos} of {len} entries {wide_bar} {eta}");
            let checked = check_log(&config, |done, all| {
                bar.set_length(all);
                bar.set_position(done);
            });
            bar.finish_and_clear();
            checked
        });
        let checked =
            checked.await.map_err(Failure::could_not_tell)?.map_err(|error| match error.is_damage() {
                true => Failure::refused(error),
                false => Failure::could_not_tell(error),
            })?;
        let size = checked.head.size;
        let checkpoint = match (checked.checkpoint, checked.verified) {
            (None, _) => "no checkpoint is stored yet".to_owned(),
            (Some(covered), true) => format!("its stored checkpoint covers {covered} of them and verifies"),
            (Some(covered), false) => {
                format!(
                    "its stored checkpoint covers {covered} of them; no public key is kept to verify it with"
                )
            }
        };
        print_line(&format!(
            "the log is whole: {size} entries with the root {}; {checkpoint}",
            checked.head.root
        ));
        Ok(())
    }
}
