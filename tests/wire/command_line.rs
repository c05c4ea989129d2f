//! The real `signet` command against a Signet: what it prints where, and how it ends.

mod attest;
mod endings;
mod files;
mod keys;
mod log;
mod log_check;
mod retries;
mod sign;
mod verify;

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::World;

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A `signet` command of one world's caller.
struct Signet {
    variables: Vec<(&'static str, String)>,
    directory: std::path::PathBuf,
    input: Vec<u8>,
}

impl Signet {
    /// A command that knows where this world's Signet is, and shows its token.
    fn of(world: &World) -> Self {
        Self::at(&world.signet.api, &world.token, world.directory.path())
    }

    fn at(url: &str, token: &str, directory: &Path) -> Self {
        let variables = vec![("SIGNET_URL", url.to_owned()), ("SIGNET_TOKEN", token.to_owned())];
        Self { variables, directory: directory.to_owned(), input: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self
    }

    fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// As [`Signet::run`], for a task of its own.
    async fn run_owned(self, arguments: Vec<String>) -> Ended {
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    async fn run(self, arguments: &[&str]) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_signet"))
            .args(arguments)
            .env_clear()
            .envs(self.variables)
            .current_dir(self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input;
        tokio::spawn(async move {
            // Whoever does not read it does not want it.
            let _ = stdin.write_all(&input).await;
        });
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ended {
    /// The JSON documents on standard output, one a line.
    #[track_caller]
    fn documents(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.stdout.lines().map(parse).collect()
    }

    #[track_caller]
    fn assert(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}
