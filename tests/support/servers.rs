//! Which servers the contract suites talk to: the stand-ins in this process, or the real ones that `tests/run` started.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use reqwest::Method;
use serde_json::{Map, Value, json};
use signet::dev::registry::Registry;
use signet::dev::transit::{Options, Transit, UNSEAL_KEY};
use signet::domain::{Clock as _, SystemClock};

const ROOT_TOKEN: &str = "stand-in-root";

/// A Vault, or what stands in for it, with transit mounted at `transit/`.
#[derive(Clone)]
pub struct Vault {
    pub address: String,
    pub root_token: String,
    /// Known of a Vault that one test has for itself, and of stand-ins.
    pub unseal_key: Option<String>,
}

/// A registry and the name that its known differences go by.
#[derive(Clone)]
pub struct TestRegistry {
    pub name: String,
    /// `http://127.0.0.1:…`
    pub url: String,
}

/// The Vault that all tests share: nothing may be done to it that another test would notice.
pub fn vault() -> Vault {
    SERVERS.vault.clone()
}

/// Every registry at hand.
pub fn registries() -> Vec<TestRegistry> {
    SERVERS.registries.clone()
}

/// A Vault for one test alone, which may seal it. A real one is unmounted and ends with the value.
pub async fn private_vault(client: &reqwest::Client) -> (Vault, Option<Running>) {
    let Some(binary) = &SERVERS.vault_binary else {
        return (stand_in_vault(), None);
    };
    let port = free_port();
    let address = format!("http://127.0.0.1:{port}");
    let mut child = Command::new(binary)
        .args(["server", "-dev", "-dev-no-store-token", "-dev-root-token-id", ROOT_TOKEN])
        .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the Vault that the servers' file names can be started");
    let said = BufReader::new(child.stdout.take().expect("its output was asked for"));
    let running = Running(child);
    let unseal_key =
        tokio::task::spawn_blocking(move || unseal_key(said)).await.expect("reading does not panic");
    for _ in 0..300 {
        let health = client.get(format!("{address}/v1/sys/health")).send().await;
        if health.is_ok_and(|answer| answer.status() == 200) {
            return (Vault { address, root_token: ROOT_TOKEN.to_owned(), unseal_key }, Some(running));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a Vault of the test's own did not become ready in 30 s");
}

/// The key that a Vault in development mode says when it starts. What it says later is read and forgotten.
fn unseal_key(said: impl BufRead + Send + 'static) -> Option<String> {
    let mut lines = said.lines().map_while(Result::ok);
    let key = lines.find_map(|line| line.strip_prefix("Unseal Key: ").map(|key| key.trim().to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    key
}

/// Makes sure that transit is mounted: a stand-in has it from the start, a new real Vault does not.
pub async fn mount_transit(client: &reqwest::Client, vault: &Vault) {
    if SERVERS.vault_binary.is_some() {
        let mount = client.post(format!("{}/v1/sys/mounts/transit", vault.address));
        let mount = mount.header("X-Vault-Token", &vault.root_token).json(&json!({"type": "transit"}));
        assert!(mount.send().await.is_ok_and(|answer| answer.status().is_success()));
    }
}

/// What a test's key in Vault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyForm {
    pub key_type: &'static str,
    /// Where the configuration names one.
    pub hash: Option<&'static str>,
}

impl Default for KeyForm {
    fn default() -> Self {
        Self { key_type: "ecdsa-p256", hash: None }
    }
}

impl KeyForm {
    /// `config/vault-policy.hcl` for such a key, changed as its comments say.
    fn policy(self) -> String {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/vault-policy.hcl");
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        if self.key_type != "ed25519" {
            return text.replace("sha2-256", self.hash.unwrap_or("sha2-256"));
        }
        let (before, rest) =
            text.split_once("path \"transit/sign/release/sha2-256\" {").expect("the first block");
        let (_, rest) = rest.split_once("\n}\n").expect("its end");
        let (between, rest) = rest.split_once("# path \"transit/sign/release\" {").expect("its replacement");
        let (block, after) = rest.split_once("\n# }\n").expect("its end");
        let block = block.replace("\n# ", "\n");
        format!("{before}{between}path \"transit/sign/release\" {{{block}\n}}\n{after}")
    }
}

/// A token that may do with `key` what `config/vault-policy.hcl` allows, and nothing else. A stand-in reads no policies.
/// With `log_key` too, which signs the log's checkpoints.
pub async fn signing_token(client: &reqwest::Client, vault: &Vault, key: &str, log_key: &str) -> String {
    signing_token_for(client, vault, key, log_key, &[KeyForm::default()]).await
}

/// As [`signing_token`], for a key that may have any of these forms.
pub async fn signing_token_for(
    client: &reqwest::Client,
    vault: &Vault,
    key: &str,
    log_key: &str,
    forms: &[KeyForm],
) -> String {
    if SERVERS.vault_binary.is_none() {
        return vault.root_token.clone();
    }
    let call = async |method, path: String, body| {
        let request = client.request(method, format!("{}/v1/{path}", vault.address));
        let answer = request.header("X-Vault-Token", &vault.root_token).json(&body).send().await;
        let answer = answer.expect("Vault answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap_or_default()
    };
    let mut names = Vec::new();
    for (number, form) in forms.iter().enumerate() {
        let policy = form.policy().replace("/release", &format!("/{key}"));
        let policy = policy.replace("/signet-log", &format!("/{log_key}"));
        let name = policy_name(key, number);
        call(Method::PUT, format!("sys/policies/acl/{name}"), json!({"policy": policy})).await;
        names.push(name);
    }
    let token = json!({"policies": names, "period": "1h", "no_parent": true, "no_default_policy": true});
    let made = call(Method::POST, "auth/token/create".to_owned(), token).await;
    made["auth"]["client_token"].as_str().expect("Vault gives a token").to_owned()
}

/// What Vault calls the policy that [`signing_token_for`] made for the form of this number.
pub fn policy_name(key: &str, number: usize) -> String {
    format!("signet-{key}-{number}")
}

/// Whether the servers are the real ones.
pub fn are_real() -> bool {
    SERVERS.vault_binary.is_some()
}

/// A path that the servers' file names, as `/cosign/2.6.5`.
pub fn path_of(pointer: &str) -> PathBuf {
    let value = value_of(pointer);
    value.as_str().unwrap_or_else(|| panic!("{pointer} of the servers' file is no text")).into()
}

/// What the servers' file says at `pointer`.
pub fn value_of(pointer: &str) -> Value {
    let file = std::env::var("SIGNET_TEST_SERVERS").unwrap_or_default();
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    value.pointer(pointer).cloned().unwrap_or_else(|| panic!("{file} has nothing at {pointer}"))
}

/// A process that ends with this value.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves `router` on a free port until this process ends.
pub fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.set_nonblocking(true).expect("a new socket takes the option");
    let address = listener.local_addr().expect("a bound socket has an address");
    // A thread of its own: the runtime of the test that comes first ends with that test.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("the socket is non-blocking");
            axum::serve(listener, router).await.expect("axum::serve never ends by itself");
        });
    });
    address
}

/// A client without proxies, redirects or retries.
pub fn client() -> reqwest::Client {
    client_builder().build().expect("the client has no settings that could be wrong")
}

pub fn client_builder() -> reqwest::ClientBuilder {
    // An error says that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

static SERVERS: LazyLock<Servers> = LazyLock::new(Servers::find);

struct Servers {
    vault: Vault,
    /// `None` for the stand-in.
    vault_binary: Option<PathBuf>,
    registries: Vec<TestRegistry>,
}

impl Servers {
    fn find() -> Self {
        match std::env::var("SIGNET_TEST_SERVERS") {
            Ok(word) if word == "stand-ins" => Self::stand_ins(),
            Ok(path) => Self::real(&path),
            Err(_) => panic!(
                "SIGNET_TEST_SERVERS is not set: run `tests/run` (real servers) or `tests/run fast` (stand-ins)"
            ),
        }
    }

    fn stand_ins() -> Self {
        let directory =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("cargo made the folder").keep();
        let registry = Registry::new(directory).expect("a new directory can be used");
        let registry =
            TestRegistry { name: "stand-in".to_owned(), url: format!("http://{}", serve(registry.router())) };
        Self { vault: stand_in_vault(), vault_binary: None, registries: vec![registry] }
    }

    fn real(path: &str) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let file: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = |pointer: &str| match file.pointer(pointer).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => panic!("{path} has no text at {pointer}"),
        };
        let registries: Map<String, Value> =
            file["registries"].as_object().unwrap_or_else(|| panic!("{path} has no registries")).clone();
        Self {
            vault: Vault {
                address: text("/vault/address"),
                root_token: text("/vault/root_token"),
                unseal_key: None,
            },
            vault_binary: Some(text("/vault/binary").into()),
            registries: registries
                .keys()
                .map(|name| TestRegistry {
                    name: name.clone(),
                    url: format!("http://{}", text(&format!("/registries/{name}"))),
                })
                .collect(),
        }
    }
}

fn stand_in_vault() -> Vault {
    let options = Options {
        mount: "transit".to_owned(),
        root_token: ROOT_TOKEN.to_owned(),
        keys_dir: None,
        now: || SystemClock.now(),
    };
    let transit = Transit::new(options).expect("without a directory nothing can fail");
    Vault {
        address: format!("http://{}", serve(transit.router())),
        root_token: ROOT_TOKEN.to_owned(),
        unseal_key: Some(UNSEAL_KEY.to_owned()),
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    probe.local_addr().expect("a bound socket has an address").port()
}
