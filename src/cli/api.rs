//! What every command that talks to a Signet has in common.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use url::Url;

use super::Failure;
use crate::client::{CertificateFiles, Client, ClientError, Patience, Pauses, Refusal, Server, SetupError};
use crate::server::install_crypto;

/// Where Signet is and how to talk to it.
///
/// The token never stands on the command line, where everybody on the machine could read it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ApiArgs {
    /// Where Signet is
    #[arg(long, env = "SIGNET_URL", value_name = "URL", required = true)]
    url: Option<Url>,
    /// A file with the token; or the variable SIGNET_TOKEN has the token itself
    #[arg(long, env = "SIGNET_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Trust these authorities (PEM) alone
    #[arg(long, env = "SIGNET_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Show this certificate (PEM), with or in place of a token, which counts where there is one
    #[arg(long, env = "SIGNET_CLIENT_CERT", value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, env = "SIGNET_CLIENT_KEY", value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Send the token over plain HTTP, also to another machine
    #[arg(long)]
    allow_plain_http: bool,
    /// How long to try, with all attempts: 30s, 5m
    #[arg(long, default_value = "2m", value_parser = duration, value_name = "TIME")]
    timeout: Duration,
    /// How answers are written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Answers go to standard output; words about them to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// As the API answers, one JSON document a line
    Json,
}

/// What came of one of the things that a command was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Done,
    /// Nobody can tell; trying again may help.
    CouldNotTell,
    /// Refused, or not verified: trying again does not help.
    No,
}

const TOKEN_VARIABLE: &str = "SIGNET_TOKEN";

impl ApiArgs {
    /// A client that shows who calls: by the token, or by the certificate alone.
    pub fn client(&self) -> Result<Client, Failure> {
        let token = self.token()?;
        if token.is_none() && self.client_cert.is_none() {
            return Err(Failure::usage(
                "there is no token: set SIGNET_TOKEN, or SIGNET_TOKEN_FILE to a file that has it; or show a certificate \
                 with --client-cert and --client-key",
            ));
        }
        self.connect(token)
    }

    /// A client for what everybody may ask.
    pub fn anonymous(&self) -> Result<Client, Failure> {
        self.connect(None)
    }

    fn connect(&self, token: Option<String>) -> Result<Client, Failure> {
        install_crypto();
        let nowhere = || Failure::usage("nobody has said where Signet is: set SIGNET_URL, or say --url");
        let server = Server {
            url: self.url.clone().ok_or_else(nowhere)?,
            token: token.map(Into::into),
            ca_file: self.ca_file.clone(),
            certificate: self
                .client_cert
                .clone()
                .zip(self.client_key.clone())
                .map(|(cert, key)| CertificateFiles { cert, key }),
            allow_plain_http: self.allow_plain_http,
        };
        let patience = Patience::new(self.timeout, Pauses::default(), rand::random, tell);
        Client::new(&server, patience).map_err(|error: SetupError| Failure::usage(error))
    }

    fn token(&self) -> Result<Option<String>, Failure> {
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        match (token, &self.token_file) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "there are two tokens: set either SIGNET_TOKEN or SIGNET_TOKEN_FILE (`--token-file`)",
            )),
            (Some(token), None) => Ok(Some(token)),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(token) => Ok(Some(token.trim().to_owned())),
                Err(error) => Err(Failure::usage(format!("the token file {}: {error}", file.display()))),
            },
            (None, None) => Ok(None),
        }
    }
}

impl Ending {
    /// What `error` makes of what was asked for.
    pub const fn of(error: &ClientError) -> Self {
        match error {
            ClientError::Refused { .. } => Self::No,
            ClientError::Failed { .. } | ClientError::Unreachable { .. } => Self::CouldNotTell,
        }
    }

    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Done,
            429 | 500..=599 => Self::CouldNotTell,
            _ => Self::No,
        }
    }

    /// The end of a command with these parts: a definite no is worth more than a doubt. `missed` says what it is
    /// that did not come about, as in "signed".
    pub fn conclude(parts: &[Self], missed: &str) -> Result<(), Failure> {
        let (count, done) = (parts.len(), parts.iter().filter(|part| **part == Self::Done).count());
        let words = match count {
            1 => format!("not {missed}"),
            _ => format!("{} of {count} not {missed}", count - done),
        };
        match parts.iter().max() {
            Some(Self::No) => Err(Failure::refused(words)),
            Some(Self::CouldNotTell) => Err(Failure::could_not_tell(words)),
            Some(Self::Done) | None => Ok(()),
        }
    }
}

impl Output {
    /// Writes one answer: as it came, or in words.
    pub fn answer(self, body: &Value, words: impl FnOnce() -> String) {
        match self {
            Self::Text => print_line(&words()),
            Self::Json => print_line(&body.to_string()),
        }
    }

    /// Says why there is no answer about `what`; where Signet said so, JSON has that too.
    pub fn problem(self, what: &str, error: &ClientError) {
        tell(&format!("{what}: {error}"));
        self.refusal(error.refusal());
    }

    pub fn refusal(self, refusal: Option<&Refusal>) {
        if let (Self::Json, Some(refusal)) = (self, refusal) {
            print_line(&refusal.body.to_string());
        }
    }
}

/// The end of a command that can do nothing without the answer that did not come.
pub fn failed(error: ClientError) -> Failure {
    match &error {
        ClientError::Refused { .. } => Failure::refused(error),
        ClientError::Failed { .. } | ClientError::Unreachable { .. } => Failure::could_not_tell(error),
    }
}

/// A line for people, on standard error.
pub fn tell(line: &str) {
    eprintln!("signet: {line}");
}

/// A line of the answer, on standard output. Whoever closes it has read enough.
pub fn print_line(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
}

/// How far something is, on standard error, where that is a terminal.
pub fn progress(length: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// An `Idempotency-Key` for one request, with all of its attempts.
pub fn idempotency_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// `k=v`.
pub fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("an annotation is written as `key=value`".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    duration
        .filter(|time| !time.is_zero() && *time <= Duration::from_secs(86_400))
        .ok_or_else(|| "a time is written as `30s` or `5m`, and is at most a day".to_owned())
}
