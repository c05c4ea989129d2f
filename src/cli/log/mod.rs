//! `signet log`.

mod anchor;
mod check;
mod export;
mod filter;
mod mirror;
mod query;
mod source;
mod verify;

use clap::{Args, Subcommand};

use super::Failure;

/// Ask the signing log, take it along, and check it
#[derive(Debug, Args)]
pub struct LogCommand {
    #[command(subcommand)]
    command: LogSubcommand,
}

#[derive(Debug, Subcommand)]
enum LogSubcommand {
    Anchor(anchor::Anchor),
    Check(check::Check),
    Query(Box<query::Query>),
    Export(Box<export::Export>),
    Verify(Box<verify::Verify>),
}

impl LogCommand {
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            LogSubcommand::Anchor(anchor) => anchor.run().await,
            LogSubcommand::Check(check) => check.run().await,
            LogSubcommand::Query(query) => query.run().await,
            LogSubcommand::Export(export) => export.run().await,
            LogSubcommand::Verify(verify) => verify.run().await,
        }
    }
}
