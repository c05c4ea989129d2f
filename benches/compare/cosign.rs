//! What users would take instead: `cosign sign` with the key in Vault, in each job.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::Failure;
use crate::images::Images;
use crate::process::usage;
use crate::servers::World;

/// A cosign that signs with Vault.
pub struct Cosign {
    binary: PathBuf,
    flags: Vec<&'static str>,
}

/// What signing some images took.
pub struct Took {
    pub elapsed: Duration,
    /// User and system time of all processes.
    pub cpu: Duration,
}

impl Cosign {
    /// The one whose layout is that of tags.
    pub fn new(world: &World) -> Result<Self, Failure> {
        let binary = world.servers.cosign.get("2.6.5").ok_or("there is no such cosign")?.clone();
        let flags = vec!["sign", "--key", "hashivault://release", "--tlog-upload=false", "--yes"];
        Ok(Self { binary, flags })
    }

    /// Signs `images`, so many processes at a time.
    pub async fn sign(&self, world: &World, images: &Images, processes: usize) -> Result<Took, Failure> {
        let used = world.directory.path().join("cosign-used");
        let began = Instant::now();
        // Bash tells the time of all that it has waited for.
        let mut bash = Command::new("bash");
        let bash = bash
            .args(["-c", "used=$1; shift; TIMEFORMAT='%U %S'; { time \"$@\" 2>&1; } 2>\"$used\"", "bash"])
            .arg(&used)
            .args(["xargs", "-P", &processes.to_string(), "-n", "1", "-a"])
            .arg(images.file(world)?)
            .arg(&self.binary)
            .args(&self.flags);
        let status = self.started(world, bash)?.wait().await?;
        let elapsed = began.elapsed();
        if !status.success() {
            let output = std::fs::read_to_string(world.directory.path().join("cosign-output"))?;
            return Err(format!("cosign failed: {output}").into());
        }
        let seconds = std::fs::read_to_string(used)?;
        let seconds: Result<Vec<f64>, _> = seconds.split_whitespace().map(str::parse::<f64>).collect();
        Ok(Took { elapsed, cpu: Duration::from_secs_f64(seconds?.iter().sum()) })
    }

    /// Signs one image, and says how much memory that took at its most, in bytes.
    pub async fn memory(&self, world: &World, image: &str) -> Result<u64, Failure> {
        let mut child = self.started(world, Command::new(&self.binary).args(&self.flags).arg(image))?;
        let id = child.id().ok_or("it has ended")?;
        let mut peak = 0;
        while child.try_wait()?.is_none() {
            // Between two looks it may have ended, and then nobody knows any more.
            peak = usage(id).map_or(peak, |usage| usage.resident_peak.max(peak));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(peak)
    }

    fn started(&self, world: &World, command: &mut Command) -> Result<Child, Failure> {
        let output = std::fs::File::create(world.directory.path().join("cosign-output"))?;
        let command = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", world.directory.path().join("home"))
            .env("VAULT_ADDR", &world.servers.vault.address)
            .env("VAULT_TOKEN", &world.vault_token)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Ok(command.spawn()?)
    }
}
