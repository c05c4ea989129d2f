//! `signet config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::{self, Config};
use crate::domain::{Clock as _, SystemClock};
use crate::policy::{Configured, RulePolicy};
use crate::server::certificates;

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
        certificates(&config).map_err(Failure::refused)?;
        for warning in policy.warnings(Some(&Configured::of(&config)), SystemClock.now()) {
            eprintln!("warning: {warning}");
        }
        println!(
            "{} is right: {} keys, {} registries, {} issuers, {} tokens, {} rules",
            check.config.display(),
            config.keys.len(),
            config.registries.len(),
            config.identity.issuers.len(),
            config.identity.tokens.len(),
            policy.len(),
        );
        Ok(())
    }
}

/// Files that the service would miss later rather than at its start.
fn missing_files(config: &Config) -> Result<(), Failure> {
    let mut named = vec![("vault.ca_file".to_owned(), config.vault.ca_file.as_deref())];
    named.extend(config.vault.auth.files().map(|(key, file)| (format!("vault.auth.{key}"), Some(file))));
    named.push(("log.url_file".to_owned(), config.log.url_file.as_deref()));
    named.push(("log.ca_file".to_owned(), config.log.ca_file.as_deref()));
    let archive = config.log.archive.as_ref().map(|archive| archive.directory.as_path());
    named.push(("log.archive.directory".to_owned(), archive));
    for push in &config.log.push {
        let key = |name: &str| format!("log.push[{}].{name}", push.name);
        named.push((key("token_file"), push.token_file.as_deref()));
        named.push((key("ca_file"), push.ca_file.as_deref()));
    }
    for registry in &config.registries {
        let key = |name: &str| format!("registries[{}].{name}", registry.host);
        named.push((key("ca_file"), registry.ca_file.as_deref()));
        named.push((key("password_file"), registry.password_file.as_deref()));
        named.push((key("docker_config_file"), registry.docker_config_file.as_deref()));
    }
    for issuer in &config.identity.issuers {
        let key = |name: &str| format!("identity.issuers[{}].{name}", issuer.name);
        named.push((key("jwks_file"), issuer.jwks_file.as_deref()));
        named.push((key("ca_file"), issuer.ca_file.as_deref()));
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
