//! Vault and a registry with certificates of a private authority.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::clients::{Clients, Layout};
use crate::own_registry::{OwnRegistry, use_registry};
use crate::registries::world;
use crate::support::World;
use crate::support::servers::{self, Running};
use crate::upstream::digest_of;

#[tokio::test]
async fn a_ca_file_lets_signet_trust_vault_and_the_registry() {
    let (mut world, authority, registry) = setting().await;
    let ca = authority.path("vault-ca.pem");
    let ca_file = format!("ca_file = '{}'", ca.display());
    let clients = Clients::of(&world).trusting(&ca);
    use_registry(&mut world, &registry.host, std::slice::from_ref(&ca_file));
    use_vault(&mut world, &authority, &ca_file).await;

    let pem = world.public_key(1).await;
    for layout in Layout::ALL {
        let image = clients.push_image(&world.repository).await;
        let answer =
            world.sign(json!({"image": world.image(digest_of(&image)), "format": layout.name()})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        clients.assert_verified(layout, &pem, &image, &[]).await;
    }
}

#[tokio::test]
async fn a_registry_of_an_unknown_authority_is_unavailable() {
    let (mut world, authority, registry) = setting().await;
    let image = Clients::of(&world)
        .trusting(&authority.path("vault-ca.pem"))
        .push_image(&format!("{}/app", registry.host))
        .await;
    use_registry(&mut world, &registry.host, &[]);
    let answer = world.sign_image(&world.image(digest_of(&image))).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (502, "registry-unavailable"), "{answer:?}");
}

#[tokio::test]
async fn a_vault_of_an_unknown_authority_is_unavailable() {
    let (mut world, authority, _registry) = setting().await;
    let image = world.push_image().await;
    use_vault(&mut world, &authority, "").await;
    let answer = world.sign_image(&image).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "vault-unavailable"), "{answer:?}");
}

#[tokio::test]
async fn the_command_line_trusts_the_authority_that_it_is_given_and_no_other() {
    let world = world("distribution-2.8").await;
    let authority = Authority::start(&world).await;
    // Vault is no Signet, and says so only to those who trust it.
    for (ca_file, words) in [(None, "certificate"), (Some(authority.path("vault-ca.pem")), "answered 4")] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_signet"));
        command.args(["keys", "list", "--url", &authority.address]);
        if let Some(file) = ca_file {
            command.arg("--ca-file").arg(file);
        }
        // Certificates do not become better by waiting, and nobody waits the two minutes.
        let ended = tokio::time::timeout(std::time::Duration::from_secs(30), command.output());
        let ended = ended.await.unwrap().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

/// A Vault with a certificate that it made itself when it started, and the authority that signed it.
pub struct Authority {
    pub address: String,
    directory: TempDir,
    _process: Running,
}

pub const ROOT_TOKEN: &str = "root";

impl Authority {
    pub async fn start(world: &World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = servers::free_port();
        let process = Command::new(servers::path_of("/vault/binary"))
            .args(["server", "-dev", "-dev-tls", "-dev-no-store-token", "-dev-root-token-id", ROOT_TOKEN])
            .arg(format!("-dev-tls-cert-dir={}", directory.path().display()))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .env("HOME", directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let authority =
            Self { address: format!("https://127.0.0.1:{port}"), directory, _process: Running(process) };
        world
            .eventually("Vault with TLS answers", async || {
                let health = format!("{}/v1/sys/health", authority.address);
                let answer = authority.client()?.get(health).send().await.ok()?;
                (answer.status() == 200).then_some(())
            })
            .await;
        authority
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A client that trusts this authority alone; none before it has begun.
    pub fn client(&self) -> Option<reqwest::Client> {
        let pem = std::fs::read(self.path("vault-ca.pem")).ok()?;
        let certificate = reqwest::Certificate::from_pem(&pem).ok()?;
        reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().ok()
    }
}

/// The registry shows the certificate that Vault made for this machine.
async fn setting() -> (World, Authority, OwnRegistry) {
    let world = world("distribution-2.8").await;
    let authority = Authority::start(&world).await;
    let registry = OwnRegistry::start("distribution-3", |directory: &Path| {
        let copy = |name: &str| {
            let copy = directory.join(name);
            std::fs::copy(authority.path(name), &copy).unwrap();
            copy.display().to_string()
        };
        let tls = format!(
            "  tls: {{certificate: '{}', key: '{}'}}\n",
            copy("vault-cert.pem"),
            copy("vault-key.pem")
        );
        (tls, String::new())
    })
    .await;
    (world, authority, registry)
}

/// Starts the world's Signet again, with the Vault of `authority`.
pub async fn use_vault(world: &mut World, authority: &Authority, ca_file: &str) {
    let vault = servers::Vault {
        address: authority.address.clone(),
        root_token: ROOT_TOKEN.to_owned(),
        unseal_key: None,
    };
    let client = authority.client().unwrap();
    servers::mount_transit(&client, &vault).await;
    for (key, key_type) in [(&world.key, "ecdsa-p256"), (&world.log_key, "ed25519")] {
        let key = client.request(Method::POST, format!("{}/v1/transit/keys/{key}", vault.address));
        let made = key.header("X-Vault-Token", ROOT_TOKEN).json(&json!({"type": key_type})).send().await;
        assert_eq!(made.unwrap().status(), 200);
    }
    let token = servers::signing_token(&client, &vault, &world.key, &world.log_key).await;
    std::fs::write(world.directory.path().join("vault-token"), token).unwrap();
    let config = world.directory.path().join("signet.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let before = format!("address = '{}'", world.vault_proxy.url());
    let changed = text.replace(&before, &format!("address = '{}'\n{ca_file}", vault.address));
    assert_ne!(changed, text);
    std::fs::write(&config, changed).unwrap();
    world.restart();
}
