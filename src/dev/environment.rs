//! Everything that one Signet needs, in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{registry, sample_image, transit};
use crate::config::{
    AttachConfig, AuditConfig, AuthMethod, BatchConfig, Config, HttpConfig, IdentityConfig, KeyConfig,
    LimitsConfig, LogConfig, PolicyConfig, Purpose, ReferrersMode, RegistryConfig, TelemetryConfig,
    TokenConfig, TokenDigest, VaultAuthConfig, VaultConfig,
};
use crate::domain::{Clock as _, Format, ImageReference, KeyName, SystemClock};
use crate::server::{Listener, Manner, Server, StartError, bind, install_crypto};

/// Where things listen and lie.
#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    pub registry_listen: SocketAddr,
    /// Keys, images and the log stay here, so that the next start finds them.
    pub data_dir: PathBuf,
}

/// A running Signet with its stand-ins, a token for it and an image to sign.
pub struct Environment {
    pub server: Server,
    pub registry: Listener,
    pub vault: Listener,
    pub token: String,
    pub public_key_file: PathBuf,
    pub image: ImageReference,
    pub data_dir: PathBuf,
}

/// The embedded Signet can not start.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("--data-dir {path}: {reason}")]
    DataDir { path: PathBuf, reason: std::io::Error },
    #[error("a stand-in failed: {0}")]
    StandIn(String),
}

const KEY: &str = "release";
/// Attestations have a key of their own: in bundles, they would pass for signatures by the same key.
const ATTESTATION_KEY: &str = "attestations";
/// Signs the log's checkpoints: [`LogConfig::sqlite`] names it.
const LOG_KEY: &str = "signet-log";
const PRINCIPAL: &str = "try-it";
const MOUNT: &str = "transit";

impl Environment {
    /// Starts everything on loopback, makes the key `release`, and pushes a sample image.
    ///
    /// # Errors
    /// Where an address is taken or the directory can not be used.
    pub async fn start(options: Options) -> Result<Self, DevError> {
        install_crypto();
        let data_dir = options.data_dir;
        let in_data_dir = |reason| DevError::DataDir { path: data_dir.clone(), reason };
        std::fs::create_dir_all(&data_dir).map_err(in_data_dir)?;

        let vault_token = random_token();
        let vault = transit::Transit::new(transit::Options {
            mount: MOUNT.to_owned(),
            root_token: vault_token.clone(),
            keys_dir: Some(data_dir.join("keys")),
            now: || SystemClock.now(),
        });
        let vault_address = bind("the Vault stand-in", loopback())?;
        let manner = Manner::from(&HttpConfig::default());
        let vault = Listener::serve(vault_address, vault.map_err(in_data_dir)?.router(), manner, None);
        let registry = registry::Registry::new(data_dir.join("registry")).map_err(in_data_dir)?;
        let registry_address = bind("--registry-listen", options.registry_listen)?;
        let registry = Listener::serve(registry_address, registry.router(), manner, None);

        let stand_in = |error: reqwest::Error| DevError::StandIn(error.without_url().to_string());
        let client = loopback_client().map_err(stand_in)?;
        for (key, key_type) in [(KEY, "ecdsa-p256"), (ATTESTATION_KEY, "ecdsa-p256"), (LOG_KEY, "ed25519")] {
            make_key(&client, vault.address, &vault_token, key, key_type).await.map_err(stand_in)?;
        }
        let image = sample_image::push(&client, registry.address).await.map_err(stand_in)?;

        let token = random_token();
        let policy = data_dir.join("policy.yaml");
        std::fs::write(&policy, policy_text(registry.address)).map_err(in_data_dir)?;
        let config = config(&Setting {
            listen: options.listen,
            vault: vault.address,
            vault_token,
            registry: registry.address,
            token: &token,
            policy,
            data_dir: &data_dir,
        });
        let server = Server::start(config).await?;
        let public_key_file = data_dir.join("release.pub");
        let url = format!("http://{}/v1/keys/{KEY}", server.api_address());
        let pem = latest_public_key(&client, &url).await?;
        std::fs::write(&public_key_file, pem).map_err(in_data_dir)?;
        Ok(Self { server, registry, vault, token, public_key_file, image, data_dir })
    }

    /// Ends in good order: Signet first, what it needs afterwards.
    pub async fn stop(self) {
        self.server.drain().await;
        self.registry.drain(PATIENCE).await;
        self.vault.drain(PATIENCE).await;
    }
}

/// For those who still talk to a stand-in when it ends.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// A client for what runs on this machine.
pub fn loopback_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(10))
        .tls_certs_only(Vec::new())
        .build()
}

struct Setting<'a> {
    listen: SocketAddr,
    vault: SocketAddr,
    vault_token: String,
    registry: SocketAddr,
    token: &'a str,
    policy: PathBuf,
    data_dir: &'a Path,
}

fn config(setting: &Setting<'_>) -> Config {
    let vault_url = format!("http://{}", setting.vault);
    Config {
        http: HttpConfig { listen: setting.listen, admin_listen: loopback(), ..HttpConfig::default() },
        vault: VaultConfig {
            address: Url::parse(&vault_url).expect("invariant: a socket address makes a URL"),
            node_addresses: Vec::new(),
            namespace: None,
            mount: MOUNT.to_owned(),
            ca_file: None,
            request_timeout: std::time::Duration::from_secs(10),
            key_poll: std::time::Duration::from_secs(1),
            auth: VaultAuthConfig {
                token: Some(setting.vault_token.clone().into()),
                ..VaultAuthConfig::new(AuthMethod::Token)
            },
            batch: BatchConfig::default(),
        },
        keys: vec![
            key(KEY, &[Purpose::Signature, Purpose::Blob]),
            key(ATTESTATION_KEY, &[Purpose::Attestation]),
        ],
        registries: vec![RegistryConfig {
            host: setting.registry.to_string(),
            plain_http: true,
            ca_file: None,
            username: None,
            password: None,
            password_file: None,
            docker_config_file: None,
            token_hosts: Vec::new(),
            format: Format::Cosign,
            referrers: ReferrersMode::Auto,
            allow_mixed_layouts: false,
            max_signatures_per_image: 100,
            request_timeout: std::time::Duration::from_secs(15),
        }],
        identity: IdentityConfig {
            tokens: vec![TokenConfig {
                name: PRINCIPAL.to_owned(),
                sha256: TokenDigest(Sha256::digest(setting.token).into()),
                expires: None,
            }],
            ..IdentityConfig::default()
        },
        policy: PolicyConfig { file: setting.policy.clone(), poll: PolicyConfig::default_poll() },
        log: LogConfig::sqlite(setting.data_dir.join("signet.db")),
        limits: LimitsConfig::default(),
        attach: AttachConfig::default(),
        audit: AuditConfig::default(),
        telemetry: TelemetryConfig::default(),
    }
}

fn key(name: &str, purposes: &[Purpose]) -> KeyConfig {
    KeyConfig {
        name: name.parse::<KeyName>().expect("invariant: a literal name"),
        vault_key: None,
        mount: None,
        hash: None,
        purposes: purposes.to_vec(),
    }
}

fn policy_text(registry: SocketAddr) -> String {
    format!(
        "version: 1
rules:
  - id: try-it
    effect: allow
    identity: {{token: {PRINCIPAL}}}
    repositories: [\"{registry}/**\"]
    keys: [{KEY}, {ATTESTATION_KEY}]
    operations: [sign, attest, blob, verify]
  - id: read-the-log
    effect: allow
    identity: {{token: {PRINCIPAL}}}
    operations: [log.read]
"
    )
}

/// Makes the key where the directory has none yet: making it again changes nothing.
async fn make_key(
    client: &reqwest::Client,
    vault: SocketAddr,
    token: &str,
    key: &str,
    key_type: &str,
) -> reqwest::Result<()> {
    let url = format!("http://{vault}/v1/{MOUNT}/keys/{key}");
    let request = client.post(url).header("X-Vault-Token", token);
    request.json(&serde_json::json!({"type": key_type})).send().await?.error_for_status()?;
    Ok(())
}

/// The newest version's PEM, through the API like everybody else.
async fn latest_public_key(client: &reqwest::Client, url: &str) -> Result<String, DevError> {
    let failed = |error: reqwest::Error| DevError::StandIn(error.to_string());
    let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let key: serde_json::Value = response.map_err(failed)?.json().await.map_err(failed)?;
    let versions = key["versions"].as_array().cloned().unwrap_or_default();
    let pem = versions.last().and_then(|version| version["public_key"].as_str());
    pem.map(str::to_owned).ok_or_else(|| DevError::StandIn("the key has no public key".to_owned()))
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn random_token() -> String {
    hex::encode(rand::rng().random::<[u8; 16]>())
}
