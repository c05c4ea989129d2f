//! `signet log anchor`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Failure;
use crate::cli::api::print_line;
use crate::config;
use crate::server::{AcceptError, accept_anchor};

/// Resolve what the checkpoint outside the database says against it
#[derive(Debug, Args)]
pub(super) struct Anchor {
    #[command(subcommand)]
    command: AnchorSubcommand,
}

#[derive(Debug, Subcommand)]
enum AnchorSubcommand {
    Accept(Accept),
}

/// Take the database for the truth from now on
///
/// For when Signet refuses to sign because the checkpoint of [log.anchor] speaks of more entries than the database has, or
/// of others, and no better database can be restored. Stop Signet first. The log gets an entry that says what the anchor
/// said, and why this was done; then the anchor follows the log again. Entries that were lost stay lost: those who keep
/// proofs or exports of them can still show that they were there.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  signet log anchor accept --config /etc/signet/signet.toml --reason 'disk lost on May 3, restored from the backup of May 2'")]
struct Accept {
    #[arg(long, env = "SIGNET_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Why, for those who read the log
    #[arg(long, value_name = "WORDS", value_parser = reason)]
    reason: String,
}

impl Anchor {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let AnchorSubcommand::Accept(Accept { config, reason }) = self.command;
        let config = config::load(&config).map_err(Failure::usage)?;
        let accepted = accept_anchor(&config, reason).await.map_err(|error| match error {
            AcceptError::Start(_) | AcceptError::NoAnchor => Failure::usage(error),
            AcceptError::Anchor(_) | AcceptError::Log(_) => Failure::could_not_tell(error),
        })?;
        print_line(&format!(
            "the checkpoint of {} entries counts no more: entry {} says so, and the anchor speaks of {} entries now",
            accepted.anchored, accepted.index, accepted.size
        ));
        Ok(())
    }
}

/// It becomes a part of an entry.
fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why, in some words".to_owned()),
        words if words.len() > 2000 => Err("say it in at most 2000 bytes".to_owned()),
        words => Ok(words.to_owned()),
    }
}
