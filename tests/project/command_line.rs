//! Whether a command line is one that `signet` takes.

use std::collections::BTreeMap;

use clap::{Command, CommandFactory as _};
use signet::cli::Cli;

/// What is wrong with `signet arguments…` where these variables are set. Nothing is run.
pub fn complaint<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    environment: &BTreeMap<String, String>,
) -> Option<String> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let command = Cli::command();
    let mut line = vec!["signet".to_owned()];
    line.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    line.extend(from_environment(&command, &arguments, environment));
    // The variables of this process must not help.
    let error = command.mut_subcommands(forget_environment).try_get_matches_from(&line).err()?;
    match error.kind() {
        clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => None,
        _ => Some(format!("`{}`: {}", line.join(" "), error.to_string().lines().next().unwrap_or_default())),
    }
}

/// The variables that flags read.
pub fn variables() -> Vec<String> {
    fn collect(command: &Command, variables: &mut Vec<String>) {
        let named = command.get_arguments().filter_map(|argument| argument.get_env());
        variables.extend(named.map(|name| name.to_string_lossy().into_owned()));
        command.get_subcommands().for_each(|command| collect(command, variables));
    }
    let mut variables = Vec::new();
    collect(&Cli::command(), &mut variables);
    variables
}

/// What clap would take from the environment, as flags.
fn from_environment(
    command: &Command,
    arguments: &[&str],
    environment: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut leaf = command;
    for argument in arguments {
        leaf = leaf.find_subcommand(argument).unwrap_or(leaf);
    }
    let given = |flag: &str| arguments.iter().any(|a| *a == flag || a.starts_with(&format!("{flag}=")));
    let flag = |argument: &clap::Arg| {
        let (long, variable) = (argument.get_long()?, argument.get_env()?);
        let (flag, value) = (format!("--{long}"), environment.get(variable.to_str()?)?);
        (!given(&flag)).then(|| format!("{flag}={value}"))
    };
    leaf.get_arguments().filter_map(flag).collect()
}

fn forget_environment(command: Command) -> Command {
    command.mut_args(|argument| argument.env(None)).mut_subcommands(forget_environment)
}

#[test]
fn a_command_line_is_judged_by_the_real_definition() {
    let none = BTreeMap::new();
    let config = BTreeMap::from([("SIGNET_CONFIG".to_owned(), "/etc/signet/signet.toml".to_owned())]);
    let url = BTreeMap::from([("SIGNET_URL".to_owned(), "https://signet.example.com".to_owned())]);
    for (line, environment) in [
        ("dev --demo", &none),
        ("serve --config signet.toml", &none),
        ("serve", &config),
        ("healthcheck --live", &config),
        ("config check --config signet.toml", &config),
        ("sign --url https://signet.example.com IMAGE", &none),
        ("sign -a k=v IMAGE IMAGE", &url),
        ("keys export --all --out keys", &url),
        ("--version", &none),
    ] {
        assert_eq!(complaint(line.split(' '), environment), None, "{line}");
    }
    for (line, environment) in [
        ("serve", &none),
        ("serve --port 80", &config),
        ("dev --config signet.toml", &config),
        ("config", &config),
        ("server", &config),
        ("sign IMAGE", &none),
        ("sign --token x IMAGE", &url),
        ("keys export", &none),
    ] {
        assert!(complaint(line.split(' '), environment).is_some(), "{line}");
    }
}
