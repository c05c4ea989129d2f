//! The real servers, and what is set up in them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::Failure;
use crate::gitlab::Keys;
use crate::policy::policy;
use crate::signet;

/// Where the servers of `tests/run` are.
#[derive(Debug, Deserialize)]
pub struct Servers {
    pub vault: Vault,
    pub postgres: Postgres,
    pub registries: BTreeMap<String, String>,
    pub registry_binaries: BTreeMap<String, PathBuf>,
    pub cosign: BTreeMap<String, PathBuf>,
    /// The first process of each.
    pub processes: BTreeMap<String, u32>,
}

#[derive(Debug, Deserialize)]
pub struct Vault {
    pub address: String,
    root_token: String,
    pub binary: PathBuf,
}

#[derive(Debug, Deserialize)]
pub struct Postgres {
    pub url: String,
    pub binaries: PathBuf,
}

/// Everything that a measurement needs.
pub struct World {
    pub servers: Servers,
    pub signet_binary: PathBuf,
    pub directory: TempDir,
    pub http: reqwest::Client,
    /// Of each registry that Signet knows.
    pub hosts: Vec<String>,
    /// A token of Vault that can sign with the key in the way of cosign and of a script.
    pub vault_token: String,
    pub counted: CountedRegistry,
    pub slow: SlowRegistry,
}

/// The jobs whose tokens are shown in turn.
const JOBS: usize = 64;

/// What is added to each answer of the slow registry.
pub const DELAY: Duration = Duration::from_millis(20);

impl World {
    /// Sets everything up.
    ///
    /// # Errors
    /// Where something of it does not work.
    pub async fn new() -> Result<Self, Failure> {
        let servers = std::env::var_os("SIGNET_TEST_SERVERS").ok_or("start benches/run")?;
        let servers: Servers = serde_json::from_slice(&std::fs::read(servers)?)?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let directory = tempfile::tempdir()?;
        let counted = CountedRegistry::start(&servers, &directory, &http).await?;
        let slow = SlowRegistry::start(&servers.registries[DISTRIBUTION], &http).await?;
        let hosts: Vec<_> =
            servers.registries.values().cloned().chain([counted.host.clone(), slow.host.clone()]).collect();
        std::fs::write(directory.path().join("policy.yaml"), policy(&hosts))?;
        let keys = Keys::new()?;
        std::fs::write(directory.path().join("keys.json"), keys.published().to_string())?;
        let tokens: Vec<_> = (0..JOBS).map(|job| keys.token("RS256", job)).collect::<Result<_, _>>()?;
        std::fs::write(directory.path().join("tokens"), tokens.join("\n"))?;
        std::fs::create_dir(directory.path().join("home"))?;
        let mut world = Self {
            servers,
            signet_binary: signet::binary()?,
            directory,
            http,
            hosts,
            vault_token: String::new(),
            counted,
            slow,
        };
        world.prepare_vault().await?;
        Ok(world)
    }

    /// The file with the jobs' tokens.
    pub fn tokens(&self) -> String {
        self.directory.path().join("tokens").display().to_string()
    }

    /// The registry that most people have.
    pub fn registry(&self) -> &str {
        &self.servers.registries[DISTRIBUTION]
    }

    /// An empty database.
    pub async fn database(&self, name: &str) -> Result<String, Failure> {
        let (client, connection) =
            tokio_postgres::connect(&self.servers.postgres.url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let name = format!("{name}_{}", uuid::Uuid::new_v4().simple());
        client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        drop(client);
        connection.await??;
        let (server, _) = self.servers.postgres.url.rsplit_once('/').ok_or("no database")?;
        Ok(format!("{server}/{name}"))
    }

    async fn prepare_vault(&mut self) -> Result<(), Failure> {
        self.vault("transit/keys/release", json!({"type": "ecdsa-p256"})).await?;
        self.vault("transit/keys/signet-log", json!({"type": "ed25519"})).await?;
        let of_signet = include_str!("../../config/vault-policy.hcl");
        // What cosign needs, and a script that calls Vault.
        let bare = r#"path "transit/sign/release/*" { capabilities = ["update"] }
                      path "transit/keys/release" { capabilities = ["read"] }"#;
        let mut tokens = Vec::new();
        for (name, text) in [("signet", of_signet), ("bare", bare)] {
            self.vault(&format!("sys/policies/acl/{name}"), json!({"policy": text})).await?;
            let wanted = json!({"policies": [name], "no_default_policy": true, "no_parent": true});
            let answer = self.vault("auth/token/create", wanted).await?;
            tokens.push(answer["auth"]["client_token"].as_str().ok_or("no token")?.to_owned());
        }
        std::fs::write(self.directory.path().join("vault-token"), &tokens[0])?;
        self.vault_token = tokens.remove(1);
        Ok(())
    }

    async fn vault(&self, path: &str, body: Value) -> Result<Value, Failure> {
        let Vault { address, root_token, .. } = &self.servers.vault;
        let request = self.http.post(format!("{address}/v1/{path}")).header("X-Vault-Token", root_token);
        let text = request.json(&body).send().await?.error_for_status()?.text().await?;
        Ok(serde_json::from_str(if text.is_empty() { "null" } else { &text })?)
    }
}

pub const DISTRIBUTION: &str = "distribution-2.8";

/// A distribution 2.8.2 of its own, which writes down each call.
pub struct CountedRegistry {
    _child: Child,
    pub host: String,
    calls: PathBuf,
}

impl CountedRegistry {
    async fn start(servers: &Servers, directory: &TempDir, http: &reqwest::Client) -> Result<Self, Failure> {
        let host = format!("127.0.0.1:{}", free_port()?);
        let config = directory.path().join("counted.yml");
        let calls = directory.path().join("counted-calls");
        let data = directory.path().join("counted-data");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n  secret: x\n",
                data.display()
            ),
        )?;
        let child = Command::new(&servers.registry_binaries[DISTRIBUTION])
            .arg("serve")
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&calls)?)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        wait_for(http, &host).await?;
        Ok(Self { _child: child, host, calls })
    }

    /// Calls so far.
    pub fn calls(&self) -> Result<usize, Failure> {
        Ok(std::fs::read_to_string(&self.calls)?.lines().filter(|line| line.contains(" HTTP/1")).count())
    }
}

/// The registry that most people have, with toxiproxy in front: each answer comes [`DELAY`] later.
pub struct SlowRegistry {
    _child: Child,
    pub host: String,
}

impl SlowRegistry {
    async fn start(registry: &str, http: &reqwest::Client) -> Result<Self, Failure> {
        let binary = std::env::var_os("TOXIPROXY").ok_or("TOXIPROXY is not set: start benches/run")?;
        let (admin, host) = (free_port()?, format!("127.0.0.1:{}", free_port()?));
        let child = Command::new(binary)
            .args(["-host", "127.0.0.1", "-port", &admin.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let admin = format!("http://127.0.0.1:{admin}/proxies");
        let deadline = Instant::now() + Duration::from_secs(10);
        while http.get(&admin).send().await.is_err() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let proxy = json!({"name": "registry", "listen": host, "upstream": registry, "enabled": true});
        http.post(&admin).json(&proxy).send().await?.error_for_status()?;
        let toxic =
            json!({"type": "latency", "stream": "downstream", "attributes": {"latency": DELAY.as_millis()}});
        http.post(format!("{admin}/registry/toxics")).json(&toxic).send().await?.error_for_status()?;
        Ok(Self { _child: child, host })
    }
}

async fn wait_for(http: &reqwest::Client, host: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Ok(answer) = http.get(format!("http://{host}/v2/")).send().await
            && answer.status().is_success()
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!("nobody answers at {host}").into())
}

fn free_port() -> Result<u16, Failure> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
