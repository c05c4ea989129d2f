//! `signet log`.

mod export;
mod filter;
mod mirror;
mod query;
mod source;
mod verify;

use clap::{Args, Subcommand};

use super::Failure;
use crate::client::ClientError;

/// Ask the signing log, take it along, and check it
#[derive(Debug, Args)]
pub struct LogCommand {
    #[command(subcommand)]
    command: LogSubcommand,
}

#[derive(Debug, Subcommand)]
enum LogSubcommand {
    Query(Box<query::Query>),
    Export(export::Export),
    Verify(Box<verify::Verify>),
}

impl LogCommand {
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            LogSubcommand::Query(query) => query.run().await,
            LogSubcommand::Export(export) => export.run().await,
            LogSubcommand::Verify(verify) => verify.run().await,
        }
    }
}

fn failed(error: ClientError) -> Failure {
    match &error {
        ClientError::Refused { .. } => Failure::refused(error),
        ClientError::Failed { .. } | ClientError::Unreachable { .. } => Failure::could_not_tell(error),
    }
}
