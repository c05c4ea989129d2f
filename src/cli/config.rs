//! `signet config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::{self, Config};
use crate::policy::RulePolicy;

/// Look at a configuration
#[derive(Debug, Args)]
pub struct ConfigCommand {
    #[command(subcommand)]
    command: ConfigSubcommand,
}

#[derive(Debug, Subcommand)]
enum ConfigSubcommand {
    Check(Check),
}

/// Read a configuration with its policy and say what is wrong, without starting anything
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  signet config check --config /etc/signet/signet.toml")]
struct Check {
    /// The configuration, TOML
    #[arg(long, env = "SIGNET_CONFIG")]
    config: PathBuf,
}

impl ConfigCommand {
    pub fn run(self) -> Result<(), Failure> {
        let ConfigSubcommand::Check(check) = self.command;
        let config = config::load(&check.config).map_err(Failure::refused)?;
        let policy = RulePolicy::load(&config.policy.file).map_err(Failure::refused)?;
        missing_files(&config)?;
        for warning in policy.unknown_names(
            config.keys.iter().map(|key| key.name.as_str()),
            config.identity.tokens.iter().map(|token| token.name.as_str()),
        ) {
            eprintln!("warning: {warning}");
        }
        println!(
            "{} is right: {} keys, {} registries, {} tokens, {} rules",
            check.config.display(),
            config.keys.len(),
            config.registries.len(),
            config.identity.tokens.len(),
            policy.len(),
        );
        Ok(())
    }
}

/// Files that the service would miss later rather than at its start.
fn missing_files(config: &Config) -> Result<(), Failure> {
    let mut named = vec![
        ("vault.auth.token_file".to_owned(), &config.vault.auth.token_file),
        ("vault.ca_file".to_owned(), &config.vault.ca_file),
        ("log.url_file".to_owned(), &config.log.url_file),
        ("log.ca_file".to_owned(), &config.log.ca_file),
    ];
    for registry in &config.registries {
        let key = |name: &str| format!("registries[{}].{name}", registry.host);
        named.push((key("ca_file"), &registry.ca_file));
        named.push((key("password_file"), &registry.password_file));
        named.push((key("docker_config_file"), &registry.docker_config_file));
    }
    for (key, path) in named {
        if let Some(path) = path
            && let Err(error) = std::fs::metadata(path)
        {
            return Err(Failure::refused(format!("{key}: {}: {error}", path.display())));
        }
    }
    Ok(())
}
