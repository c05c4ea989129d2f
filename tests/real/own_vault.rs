//! A Vault for one test alone that outlives its own end: its data is in files.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::registries::demand_real_servers;
use crate::support::World;
use crate::support::servers::{self, Running, Vault};

/// Ends with this value.
pub struct OwnVault {
    pub vault: Vault,
    client: Client,
    directory: TempDir,
    process: Option<Running>,
}

impl OwnVault {
    /// Initialised and unsealed, with transit.
    pub async fn start() -> Self {
        let mut own = Self::launch();
        own.until_health_is(501).await;
        let made =
            own.call(Method::PUT, "sys/init", json!({"secret_shares": 1, "secret_threshold": 1})).await;
        own.vault.root_token = made["root_token"].as_str().unwrap().to_owned();
        own.vault.unseal_key = Some(made["keys_base64"][0].as_str().unwrap().to_owned());
        own.unseal().await;
        servers::mount_transit(&own.client, &own.vault).await;
        own
    }

    /// Another node of the same cluster, which is its standby.
    pub async fn standby(&self) -> Self {
        let mut node = Self::launch();
        (node.vault.root_token, node.vault.unseal_key) =
            (self.vault.root_token.clone(), self.vault.unseal_key.clone());
        node.until_health_is(501).await;
        let leader = json!({"leader_api_addr": self.vault.address});
        node.call(Method::PUT, "sys/storage/raft/join", leader).await;
        node.call(Method::PUT, "sys/unseal", json!({"key": node.vault.unseal_key})).await;
        node.until_health_is(429).await;
        node
    }

    fn launch() -> Self {
        demand_real_servers();
        let directory = tempfile::tempdir().unwrap();
        let [address, cluster] = [(); 2].map(|()| format!("127.0.0.1:{}", servers::free_port()));
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let config = format!(
            "disable_mlock = true\napi_addr = \"http://{address}\"\ncluster_addr = \"https://{cluster}\"\n\
             storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"{cluster}\"\n  performance_multiplier = 1\n}}\n\
             listener \"tcp\" {{\n  address = \"{address}\"\n  cluster_address = \"{cluster}\"\n  tls_disable = true\n}}\n",
            data.display()
        );
        std::fs::write(directory.path().join("vault.hcl"), config).unwrap();
        let vault =
            Vault { address: format!("http://{address}"), root_token: String::new(), unseal_key: None };
        let process = Some(launch(directory.path()));
        Self { vault, client: servers::client(), directory, process }
    }

    pub async fn seal(&self) {
        self.call(Method::PUT, "sys/seal", json!({})).await;
    }

    /// Returns when it is active.
    pub async fn unseal(&self) {
        self.call(Method::PUT, "sys/unseal", json!({"key": self.vault.unseal_key})).await;
        self.until_health_is(200).await;
    }

    /// Ends the process as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again where it was. Returns when it is active.
    pub async fn restart(&mut self) {
        self.process = Some(launch(self.directory.path()));
        self.until_health_is(503).await;
        self.unseal().await;
    }

    /// Has the world's Signet use this Vault, in which the world's keys are made.
    pub async fn lead_to(&self, world: &mut World) {
        for (key, key_type) in [(&world.key, "ecdsa-p256"), (&world.log_key, "ed25519")] {
            self.call(Method::POST, &format!("transit/keys/{key}"), json!({"type": key_type})).await;
        }
        // With a policy by the key's name.
        let token = servers::signing_token(&self.client, &self.vault, &world.key, &world.log_key).await;
        world.write_vault_token(&token);
        world.vault = self.vault.clone();
        let proxy = world.vault_proxy.url();
        world.reconfigure(|text| text.replace(&proxy, &self.vault.address));
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.client.request(method, format!("{}/v1/{path}", self.vault.address));
        let answer =
            request.header("X-Vault-Token", &self.vault.root_token).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or_default()
    }

    async fn until_health_is(&self, status: u16) {
        let asking = async {
            let mut pause = tokio::time::interval(Duration::from_millis(5));
            loop {
                pause.tick().await;
                let health = self.client.get(format!("{}/v1/sys/health", self.vault.address)).send().await;
                if health.is_ok_and(|answer| answer.status() == status) {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asking).await.expect("Vault's health changes in 30 s");
    }
}

fn launch(directory: &Path) -> Running {
    let mut command = Command::new(servers::path_of("/vault/binary"));
    command.arg("server").arg(format!("-config={}", directory.join("vault.hcl").display()));
    let command = command.env("HOME", directory).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}
