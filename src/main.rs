//! The `signet` command.

use std::process::ExitCode;

use clap::Parser as _;
use signet::cli::{Cli, run};

#[tokio::main]
async fn main() -> ExitCode {
    run(Cli::parse()).await
}
