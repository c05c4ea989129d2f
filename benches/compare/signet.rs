//! Signet, as `signet serve` runs it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::Failure;
use crate::gitlab;
use crate::process::{Usage, usage};
use crate::servers::World;

/// Where the log is.
#[derive(Debug, Clone)]
pub enum Store {
    Sqlite,
    /// With the URL of a database.
    Postgres(String),
}

/// A Signet that is running. It ends with this.
pub struct Signet {
    _child: Child,
    id: u32,
    pub api: String,
    admin: String,
    http: reqwest::Client,
}

impl Signet {
    /// Starts one with a log of its own in `directory`, which has room for nothing else; `lines` is more of the configuration.
    pub async fn start(world: &World, name: &str, store: &Store) -> Result<Self, Failure> {
        let directory = world.directory.path().join(name);
        std::fs::create_dir_all(&directory)?;
        let config = directory.join("signet.toml");
        std::fs::write(&config, configuration(world, store))?;
        let output = directory.join("output");
        let child = Command::new(&world.signet_binary)
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&output)?)
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().ok_or("it has ended")?;
        let (api, admin) = addresses(&output).await?;
        let signet = Self { _child: child, id, api, admin, http: world.http.clone() };
        signet.wait_until_ready().await?;
        Ok(signet)
    }

    async fn wait_until_ready(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            let answer = self.http.get(format!("{}/readyz", self.admin)).send().await?;
            if answer.status().is_success() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("Signet is not ready within 30 s".into())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }

    pub const fn id(&self) -> u32 {
        self.id
    }

    pub fn usage(&self) -> Result<Usage, Failure> {
        usage(self.id)
    }

    /// The sum of a counter over all series whose labels hold `label`.
    pub async fn count(&self, metric: &str, label: &str) -> Result<f64, Failure> {
        let text = self.http.get(format!("{}/metrics", self.admin)).send().await?.text().await?;
        let of_it = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            (name == metric && labels.contains(label)).then(|| value.parse::<f64>().ok())?
        });
        Ok(of_it.sum())
    }

    /// Answers so far with this status.
    pub async fn answers(&self, status: u16) -> Result<f64, Failure> {
        self.count("signet_http_requests_total", &format!("status=\"{status}\"")).await
    }

    /// Calls to registries so far.
    pub async fn registry_calls(&self) -> Result<f64, Failure> {
        self.count("signet_registry_calls_total", "").await
    }
}

/// What Signet's log says of where it listens.
async fn addresses(output: &Path) -> Result<(String, String), Failure> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(output)?;
        for line in text.lines().filter(|line| line.contains("\"listening\"")) {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let address = |name: &str| Some(format!("http://{}", line[name].as_str()?));
            if let (Some(api), Some(admin)) = (address("api"), address("admin")) {
                return Ok((api, admin));
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("Signet does not listen: {}", std::fs::read_to_string(output)?).into())
}

/// All defaults, but for where everything is.
fn configuration(world: &World, store: &Store) -> String {
    let place = match store {
        Store::Sqlite => "path = 'signet.db'".to_owned(),
        Store::Postgres(url) => format!("backend = 'postgres'\nurl = '{url}'"),
    };
    let shared = world.directory.path();
    let mut text = format!(
        "[http]\nlisten = '127.0.0.1:0'\nadmin_listen = '127.0.0.1:0'\n\
         [vault]\naddress = '{vault}'\n[vault.auth]\nmethod = 'token'\ntoken_file = '{shared}/vault-token'\n\
         [[keys]]\nname = 'release'\npurposes = ['signature', 'blob']\n\
         {identity}\
         [policy]\nfile = '{shared}/policy.yaml'\n\
         [log]\n{place}\n",
        vault = world.servers.vault.address,
        shared = shared.display(),
        identity = gitlab::identity(&shared.join("keys.json")),
    );
    for host in &world.hosts {
        let _ = write!(text, "[[registries]]\nhost = '{host}'\nplain_http = true\n");
    }
    text
}

/// The binary, beside which nothing else is needed.
pub fn binary() -> Result<PathBuf, Failure> {
    Ok(std::env::var_os("SIGNET_BIN").ok_or("SIGNET_BIN is not set: start benches/run")?.into())
}
