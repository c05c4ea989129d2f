//! What the figures were taken on.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::Failure;
use crate::cosign::Cosign;
use crate::servers::{DISTRIBUTION, World};

/// The machine, and the versions of all that was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    /// In GiB.
    pub memory: f64,
    pub kernel: String,
    /// Of the disk that the log is on.
    pub file_system: String,
    pub versions: Vec<(String, String)>,
}

impl Machine {
    /// # Errors
    /// Where the system does not tell.
    pub fn of(world: &World, wrk: &Path) -> Result<Self, Failure> {
        let kibibytes = field("/proc/meminfo", "MemTotal")?;
        let kibibytes: f64 = kibibytes.trim_end_matches(" kB").parse()?;
        let place = world.directory.path().display().to_string();
        let servers = &world.servers;
        let versions = [
            ("Signet", said(&world.signet_binary, &["--version"])?),
            ("Vault", said(&servers.vault.binary, &["version"])?),
            ("PostgreSQL", said(&servers.postgres.binaries.join("postgres"), &["--version"])?),
            ("registry", said(&servers.registry_binaries[DISTRIBUTION], &["--version"])?),
            ("cosign", Cosign::VERSION.to_owned()),
            ("wrk", said(wrk, &["-v"])?),
        ];
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism()?.get(),
            memory: kibibytes / 1024.0 / 1024.0,
            kernel: said(Path::new("uname"), &["-sr"])?,
            file_system: said(Path::new("stat"), &["--file-system", "--format", "%T", &place])?,
            versions: versions.map(|(name, version)| (name.to_owned(), version)).to_vec(),
        })
    }

    /// As a page tells it.
    pub fn sentences(&self) -> String {
        let Self { processor, cores, memory, kernel, file_system, versions } = self;
        let versions: Vec<_> =
            versions.iter().map(|(name, version)| format!("{name}: `{version}`")).collect();
        format!(
            "Machine: {cores} cores of {processor}, {memory:.0} GiB, {kernel}, logs and Vault's audit log on {file_system}. Everything \
             below shares it. {}.\n",
            versions.join(", ")
        )
    }
}

fn field(path: &str, name: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.ok_or_else(|| format!("{path} has no {name}"))?.trim_matches([' ', '\t', ':']).to_owned())
}

/// The first line that says something.
fn said(program: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", std::env::var_os("WRK_LIBRARIES").unwrap_or_default());
    let output =
        command.args(arguments).output().map_err(|error| format!("{}: {error}", program.display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.chars().any(|c| c.is_ascii_digit() || c.is_ascii_alphabetic()));
    Ok(line.unwrap_or_default().trim().to_owned())
}
