//! The command line, one file per subcommand.

mod api;
mod attest;
mod completions;
mod config;
mod dev;
mod healthcheck;
mod keys;
mod log;
mod policy;
mod serve;
mod sign;
mod sign_blob;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Signs artifact digests for CI pipelines, with keys that never leave HashiCorp Vault.
#[derive(Debug, Parser)]
#[command(name = "signet", version, propagate_version = true, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  signet dev --demo                           one full round with everything embedded
  signet dev                                  try the API out, with a curl line to paste
  signet config check --config signet.toml    is this right?
  signet policy test --suite tests.yaml       does the policy do what it should?
  signet serve --config signet.toml           for real
  signet sign registry/app@sha256:9f86…       have a Signet sign an image (SIGNET_URL, SIGNET_TOKEN)
  signet verify --key release IMAGE           is it signed?
  signet log verify --key-file log.keys       is the signing log what its checkpoint says, all of it?

Exit codes: 0 done; 1 refused or not verified; 2 usage; 3 could not tell, try again.";

#[derive(Debug, Subcommand)]
enum Command {
    Sign(sign::Sign),
    Attest(attest::Attest),
    SignBlob(sign_blob::SignBlob),
    Verify(verify::Verify),
    Keys(keys::KeysCommand),
    Log(Box<log::LogCommand>),
    Serve(serve::Serve),
    Dev(dev::Dev),
    Healthcheck(healthcheck::Healthcheck),
    Config(config::ConfigCommand),
    Policy(policy::PolicyCommand),
    Completions(completions::Completions),
}

/// How a command ends when it does not end well.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct Failure {
    code: u8,
    words: String,
}

impl Failure {
    /// Refused, not verified, not right.
    pub fn refused(words: impl ToString) -> Self {
        Self { code: 1, words: words.to_string() }
    }

    /// Nobody can tell; trying again may help.
    pub fn could_not_tell(words: impl ToString) -> Self {
        Self { code: 3, words: words.to_string() }
    }

    /// The command line or the configuration is wrong.
    pub fn usage(words: impl ToString) -> Self {
        Self { code: 2, words: words.to_string() }
    }
}

/// Runs one command to its end.
pub async fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Sign(command) => command.run().await,
        Command::Attest(command) => command.run().await,
        Command::SignBlob(command) => command.run().await,
        Command::Verify(command) => command.run().await,
        Command::Keys(command) => command.run().await,
        Command::Log(command) => command.run().await,
        Command::Serve(command) => command.run().await,
        Command::Dev(command) => command.run().await,
        Command::Healthcheck(command) => command.run().await,
        Command::Config(command) => command.run(),
        Command::Policy(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("signet: {}", failure.words);
            ExitCode::from(failure.code)
        }
    }
}
