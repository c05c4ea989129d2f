//! The `signet` command.

use std::process::ExitCode;

use clap::Parser as _;
use signet::cli::{Cli, run};

/// A signature makes some hundred small pieces of memory on several threads, which the C library's allocator takes a sixth of
/// the time for that is spent outside of Vault. docs/performance.md has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    run(Cli::parse()).await
}
