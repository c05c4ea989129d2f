//! Reading the configuration: the file, what the environment sets on top of it, and whether it makes sense.

use std::path::{Path, PathBuf};

use config::{FileFormat, ValueKind};

use super::environment::Environment;
use super::{Config, paths, validate};
use crate::domain::RegistryHost;
use crate::input::{self, InputError, Node};

/// The configuration can not be used. Names the file, the key or variable, and what would be right; never a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration {file} can not be read: {source}", file = file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{file}: this is no TOML: {message}", file = file.display())]
    Syntax { file: PathBuf, message: String },
    #[error("{file}: {key}: {message}", file = file.display())]
    Key { file: PathBuf, key: String, message: String },
    /// The value came from the environment.
    #[error("{variable} (in the environment, on top of {file}): {message}", file = file.display())]
    Variable { file: PathBuf, variable: String, message: String },
}

/// Reads the file and the variables `SIGNET__SECTION__KEY`, which win. Relative paths in either start at the
/// file's directory.
///
/// # Errors
/// Where the whole is not a configuration that makes sense.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let read = |source| ConfigError::Read { file: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let variables = Environment::of_process().map_err(|wrong| wrong.within(path))?;
    load_str(&text, path, variables)
}

/// As [`load`], with `text` for what is in `file`, and `variables` for the environment.
///
/// # Errors
/// As [`load`].
pub fn load_str(
    text: &str,
    file: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let environment = Environment::new(variables).map_err(|wrong| wrong.within(file))?;
    let node = merge(text, file, &environment)?;
    let mut config: Config =
        input::from_node(node).map_err(|error| not_a_config(&error, file, &environment))?;

    let wrong = |(key, message): (String, String)| match environment.variable_of(&key) {
        Some(variable) => ConfigError::Variable { file: file.to_owned(), variable, message },
        None => ConfigError::Key { file: file.to_owned(), key, message },
    };
    validate::check(&config).map_err(wrong)?;
    for registry in &mut config.registries {
        if let Ok(host) = registry.host.parse::<RegistryHost>() {
            registry.host = host.to_string();
        }
    }
    let file =
        std::path::absolute(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
    paths::start_at(file.parent().unwrap_or(&file), &mut config);
    Ok(config)
}

/// The file's values with those of the environment over them.
fn merge(text: &str, file: &Path, environment: &Environment) -> Result<Node, ConfigError> {
    let merged = config::Config::builder()
        .add_source(config::File::from_str(text, FileFormat::Toml))
        .add_source(environment.source())
        .build()
        .map_err(|_| ConfigError::Syntax { file: file.to_owned(), message: syntax(text) })?;
    Ok(node(merged.cache))
}

fn node(value: config::Value) -> Node {
    let from_environment = value.origin() == Some(Environment::ORIGIN);
    match value.kind {
        ValueKind::Nil => Node::Null,
        ValueKind::Boolean(value) => Node::Bool(value),
        ValueKind::I64(number) => Node::Signed(number),
        ValueKind::U64(number) => Node::Unsigned(number),
        ValueKind::Float(number) => Node::Float(number),
        ValueKind::String(text) if from_environment => Node::Text(text),
        ValueKind::String(text) => Node::String(text),
        // TOML has none of these.
        ValueKind::I128(number) => Node::String(number.to_string()),
        ValueKind::U128(number) => Node::String(number.to_string()),
        ValueKind::Array(items) => Node::Sequence(items.into_iter().map(node).collect()),
        ValueKind::Table(table) => {
            let mut entries: Vec<_> = table.into_iter().map(|(key, value)| (key, node(value))).collect();
            // The table has no order: of two mistakes, the same one shall be told each time.
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Node::Map(entries)
        }
    }
}

/// What is wrong with the TOML, and where. The error that `config` hands on shows whole lines, which may hold secrets.
fn syntax(text: &str) -> String {
    let Err(error) = text.parse::<toml::Table>() else {
        return "a value is larger than its type can hold".to_owned();
    };
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{} (line {line}, column {column})", error.message().replace('\n', "; "))
}

/// Names the variable where the value came from one.
fn not_a_config(error: &InputError, file: &Path, environment: &Environment) -> ConfigError {
    let file = file.to_owned();
    match environment.blame(error) {
        Some((variable, message)) => ConfigError::Variable { file, variable, message },
        None => {
            let key = match error.path() {
                path if path.is_empty() => "the whole".to_owned(),
                path => path,
            };
            ConfigError::Key { file, key, message: error.message() }
        }
    }
}
