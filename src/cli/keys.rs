//! `signet keys`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Failure;
use super::api::{ApiArgs, Output, failed, print_line, tell};
use crate::client::Client;

/// Look at public keys; needs no token
#[derive(Debug, Args)]
pub struct KeysCommand {
    #[command(subcommand)]
    command: KeysSubcommand,
}

#[derive(Debug, Subcommand)]
enum KeysSubcommand {
    List(List),
    Export(Export),
}

/// List the keys with all of their versions
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet keys list
  signet keys list --output json | jq -r '.keys[].name'")]
struct List {
    #[command(flatten)]
    api: ApiArgs,
}

/// Write public keys as PEM files, for verifiers
///
/// One version goes into one file. With `--all`, each version goes into a file of its own below DIR, and all of them
/// together into one more, the newest first: for verifiers that read several. cosign reads the first one alone.
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:
  signet keys export --key release                       the version that signs now, on standard output
  signet keys export --key release --version 2 -o release-v2.pem
  signet keys export --all -o keys/                      every version of every key"
)]
struct Export {
    /// Which key; may be left out where there is one, and with --all
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Default: the one that signs now
    #[arg(long, value_name = "N", conflicts_with = "all")]
    version: Option<u64>,
    /// Every version
    #[arg(long)]
    all: bool,
    /// The file, or a folder; default: standard output
    #[arg(short, long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    api: ApiArgs,
}

/// A public key with the name of its file.
struct Pem {
    file: String,
    text: String,
}

impl KeysCommand {
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            KeysSubcommand::List(list) => list.run().await,
            KeysSubcommand::Export(export) => export.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let body = keys(&self.api.anonymous()?).await?;
        self.api.output.answer(&body, || words(&body));
        Ok(())
    }
}

impl Export {
    async fn run(self) -> Result<(), Failure> {
        let body = keys(&self.api.anonymous()?).await?;
        let all: Vec<&Value> = body["keys"].as_array().into_iter().flatten().collect();
        let chosen = match &self.key {
            Some(name) => {
                let key = all.iter().find(|key| key["name"] == *name);
                vec![*key.ok_or_else(|| Failure::refused(format!("there is no key `{name}`")))?]
            }
            None if self.all || all.len() == 1 => all,
            None => return Err(Failure::usage("there are several keys: name one with --key, or say --all")),
        };
        let pems = match self.all {
            true => chosen.iter().flat_map(|key| every_version(key)).collect(),
            false => {
                chosen.iter().map(|key| one_version(key, self.version)).collect::<Result<Vec<_>, _>>()?
            }
        };
        self.write(&pems)
    }

    fn write(&self, pems: &[Pem]) -> Result<(), Failure> {
        let Some(out) = &self.out else {
            // What is in the combined file is in the others too.
            let single = pems.iter().filter(|pem| !self.all || pem.file.contains("-v"));
            single.for_each(|pem| print_line(pem.text.trim_end()));
            return Ok(());
        };
        let is_folder = self.all || out.is_dir() || out.as_os_str().to_string_lossy().ends_with('/');
        if is_folder {
            std::fs::create_dir_all(out)
                .map_err(|error| Failure::usage(format!("{}: {error}", out.display())))?;
        }
        for pem in pems {
            let path = if is_folder { out.join(&pem.file) } else { out.clone() };
            write_file(&path, pem.text.as_bytes())?;
            tell(&format!("{} is written", path.display()));
            if self.api.output == Output::Json {
                print_line(&serde_json::json!({"file": path}).to_string());
            }
        }
        Ok(())
    }
}

async fn keys(client: &Client) -> Result<Value, Failure> {
    client.get("/v1/keys").await.map(|reply| reply.body).map_err(failed)
}

/// The version that is asked for, else the one that signs.
fn one_version(key: &Value, version: Option<u64>) -> Result<Pem, Failure> {
    let wanted = version.or_else(|| key["latest_version"].as_u64());
    let mut versions = key["versions"].as_array().into_iter().flatten();
    let version = versions.find(|version| version["version"].as_u64() == wanted);
    version.and_then(|version| pem(key, version)).ok_or_else(|| {
        let wanted = wanted.map_or_else(String::new, |version| version.to_string());
        Failure::refused(format!("key `{}` has no version {wanted}", text(&key["name"])))
    })
}

/// A file for each version, and one for all of them, the newest first.
fn every_version(key: &Value) -> Vec<Pem> {
    let versions = key["versions"].as_array().into_iter().flatten();
    let mut pems: Vec<_> = versions.rev().filter_map(|version| pem(key, version)).collect();
    let together = pems.iter().map(|pem| pem.text.as_str()).collect();
    pems.push(Pem { file: format!("{}.pem", text(&key["name"])), text: together });
    pems
}

fn pem(key: &Value, version: &Value) -> Option<Pem> {
    let file = format!("{}-v{}.pem", text(&key["name"]), version["version"].as_u64()?);
    Some(Pem { file, text: version["public_key"].as_str()?.to_owned() })
}

/// Writes all of a file or nothing of it: a verifier must not read half a key.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new().permissions(readable_by_all()).tempfile_in(folder)?;
        file.write_all(content)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok::<(), std::io::Error>(())
    };
    write().map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn readable_by_all() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A line for each version of each key.
fn words(body: &Value) -> String {
    let mut lines = Vec::new();
    for key in body["keys"].as_array().into_iter().flatten() {
        for version in key["versions"].as_array().into_iter().flatten() {
            lines.push(format!(
                "{} v{}, {}, {}, since {}, {}",
                text(&key["name"]),
                version["version"],
                text(&key["type"]),
                text(&version["state"]),
                text(&version["created_at"]),
                text(&version["fingerprint"]),
            ));
        }
    }
    lines.join("\n")
}
