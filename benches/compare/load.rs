//! Loads, by wrk: closed loops over connections that are kept.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use crate::Failure;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub enum Script {
    Vault,
    Blobs,
    Images,
}

/// Starts wrk.
pub struct Loads {
    wrk: PathBuf,
    directory: PathBuf,
}

/// What one load came to. Times are in microseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct Load {
    pub requests: u64,
    pub microseconds: u64,
    pub p50: u64,
    /// Answers of 400 and above.
    pub bad_status: u64,
    /// Connections that could not be made or broke.
    broken: u64,
    timeouts: u64,
}

impl Loads {
    pub fn new(wrk: PathBuf, directory: &Path) -> Result<Self, Failure> {
        let (jobs, done) = (include_str!("jobs.lua"), include_str!("done.lua"));
        for (name, before, text) in [
            ("vault", "", include_str!("vault.lua")),
            ("blobs", jobs, include_str!("blobs.lua")),
            ("images", jobs, include_str!("images.lua")),
        ] {
            std::fs::write(directory.join(format!("{name}.lua")), format!("{before}{text}{done}"))?;
        }
        Ok(Self { wrk, directory: directory.to_owned() })
    }

    pub fn wrk(&self) -> &Path {
        &self.wrk
    }

    /// Asks `url` over so many connections for so many seconds.
    ///
    /// # Errors
    /// Where connections break or answers do not come.
    pub async fn run(
        &self,
        script: Script,
        url: &str,
        connections: usize,
        seconds: u64,
        arguments: &[&str],
    ) -> Result<Load, Failure> {
        let script = self.directory.join(format!("{script:?}.lua").to_lowercase());
        let output = Command::new(&self.wrk)
            .env("LD_LIBRARY_PATH", std::env::var_os("WRK_LIBRARIES").unwrap_or_default())
            .args(["--threads", "1", "--timeout", "30s", "--latency"])
            .args(["--connections", &connections.to_string(), "--duration", &format!("{seconds}s")])
            .arg("--script")
            .arg(script)
            .arg(url)
            .arg("--")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
        let result = result.ok_or_else(|| format!("wrk has no result: {text}"))?;
        let load: Load = serde_json::from_str(result)?;
        if load.broken + load.timeouts > 0 {
            return Err(format!("connections to {url} broke: {text}").into());
        }
        Ok(load)
    }
}

impl Load {
    pub fn seconds(&self) -> f64 {
        self.microseconds as f64 / 1e6
    }

    /// Answers in a second, whatever they say.
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds()
    }

    /// The answers, none of which may be a refusal.
    ///
    /// # Errors
    /// Where one is.
    pub fn all_good(self) -> Result<Self, Failure> {
        if self.bad_status > 0 {
            return Err(format!("{} of {} answers are refusals", self.bad_status, self.requests).into());
        }
        Ok(self)
    }
}
