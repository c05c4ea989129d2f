//! Everything that one test needs, and nobody else touches.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signet::domain::{Descriptor, Digest};
use tempfile::TempDir;

use super::servers::{self, TestRegistry, Vault, unique};
use super::{Authority, Proxy, Signet, image, postgres};

/// A Signet with a key and a repository of its own, and proxies before Vault and the registry.
pub struct World {
    pub signet: Signet,
    pub client: Client,
    pub vault: Vault,
    pub vault_proxy: Proxy,
    pub registry: TestRegistry,
    pub registry_proxy: Proxy,
    /// The key's name, in Vault and in Signet.
    pub key: String,
    /// The name of the log's own key in Vault. [`World::vault_proxy`] counts calls about it apart.
    pub log_key: String,
    /// `host:port/name`, where the host is the proxy's.
    pub repository: String,
    /// A token that may do everything in this world's repository with its key, and read the whole log.
    pub token: String,
    /// A token that is known and that no rule names.
    pub outsider: String,
    pub directory: TempDir,
    /// What else stands in the configuration.
    pub settings: Settings,
    _vault_process: Option<servers::Running>,
}

/// What a test may want to be different.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Lines for sections that the configuration has anyway: ("http", "…"), ("vault", "…"), ("vault.batch", "…"),
    /// ("registries", "…"), ("identity", "…"), ("log", "…"), ("limits", "…"), ("attach", "…").
    pub lines: Vec<(&'static str, String)>,
    /// Whole sections, behind those that the configuration has anyway.
    pub sections: String,
    /// Which of the registries; the first where none is named.
    pub registry: Option<&'static str>,
    /// A Vault for this test alone, which it may seal.
    pub private_vault: bool,
    /// The key's type and hash.
    pub key: servers::KeyForm,
    /// TLS, with a certificate of this authority, whose clients are let in.
    pub tls: Option<Arc<Authority>>,
    /// The log in a PostgreSQL database of its own, in place of SQLite.
    pub postgres: bool,
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl World {
    pub async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let registry = servers::registries()
            .into_iter()
            .find(|registry| settings.registry.is_none_or(|name| registry.name == name))
            .unwrap_or_else(|| panic!("no registry {:?}", settings.registry));
        Self::in_registry(settings, registry).await
    }

    async fn in_registry(settings: Settings, registry: TestRegistry) -> Self {
        let client = match &settings.tls {
            Some(authority) => authority.trusting_client(None),
            None => servers::client(),
        };
        let (vault, process) = match settings.private_vault {
            false => (servers::vault(), None),
            true => {
                let (vault, process) = servers::private_vault(&client).await;
                servers::mount_transit(&client, &vault).await;
                (vault, process)
            }
        };
        let vault_proxy = Proxy::start(&vault.address).await;
        let registry_proxy = Proxy::start(&registry.url).await;
        let (key, log_key) = (unique("key"), unique("log-key"));
        for (key, key_type) in [(&key, settings.key.key_type), (&log_key, "ed25519")] {
            let made = client.post(format!("{}/v1/transit/keys/{key}", vault.address));
            let made = made.header("X-Vault-Token", &vault.root_token).json(&json!({"type": key_type}));
            assert!(made.send().await.unwrap().status().is_success());
        }
        let of_log = format!("/{log_key}");
        vault_proxy.count_apart(move |call| call.path.ends_with(&of_log));
        let repository = format!("{}/{}", registry_proxy.address, unique("team/app"));
        let directory = tempfile::tempdir().unwrap();
        let (token, outsider) = (unique("token"), unique("outsider"));
        let vault_token = servers::signing_token_for(&client, &vault, &key, &log_key, &[settings.key]).await;
        std::fs::write(directory.path().join("vault-token"), format!("{vault_token}\n")).unwrap();
        let policy = format!(
            "version: 1\nrules:\n  - id: reads\n    effect: allow\n    identity: {{token: ci}}\n    operations: [log.read]\n  - id: everything\n    effect: allow\n    identity: {{token: ci}}\n    repositories: ['{repository}', '{repository}/**']\n    keys: ['{key}']\n    operations: [sign, attest, blob, verify]\n"
        );
        std::fs::write(directory.path().join("policy.yaml"), policy).unwrap();
        if settings.postgres {
            std::fs::write(directory.path().join("postgres-url"), postgres::database().await).unwrap();
        }
        if let Some(authority) = &settings.tls {
            authority.server("signet").write(directory.path());
        }
        let keys = (key.as_str(), log_key.as_str());
        let config = config(&settings, &vault_proxy, &registry_proxy, keys, &token, &outsider);
        std::fs::write(directory.path().join("signet.toml"), config).unwrap();
        let signet = Signet::serve(&directory.path().join("signet.toml"));
        Self {
            signet,
            client,
            vault,
            vault_proxy,
            registry,
            registry_proxy,
            key,
            log_key,
            repository,
            token,
            outsider,
            directory,
            settings,
            _vault_process: process,
        }
    }

    /// A world whose calls to Vault can be counted: the key is known, and is read no more by itself.
    pub async fn counted() -> Self {
        Self::counted_with(Settings::default()).await
    }

    /// As [`World::counted`], with settings of one's own.
    pub async fn counted_with(mut settings: Settings) -> Self {
        settings.lines.push(("vault", "key_poll = '1h'".to_owned()));
        let world = Self::with(settings).await;
        world.public_key(1).await;
        world.take_all_calls();
        world
    }

    /// A world in each of the registries at hand.
    pub async fn in_each_registry(settings: Settings) -> Vec<Self> {
        let worlds =
            servers::registries().into_iter().map(|registry| Self::in_registry(settings.clone(), registry));
        futures::future::join_all(worlds).await
    }

    /// Starts the same Signet again, over the same log.
    pub fn restart(&mut self) {
        self.signet.kill();
        self.serve();
    }

    /// Starts Signet, which has ended, over what its directory holds.
    pub fn serve(&mut self) {
        self.signet = Signet::serve(&self.directory.path().join("signet.toml"));
    }

    /// Changes the configuration, and starts Signet again.
    pub fn reconfigure(&mut self, change: impl FnOnce(String) -> String) {
        let path = self.directory.path().join("signet.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(text)).unwrap();
        self.restart();
    }

    /// Pushes an image past the proxy, and returns its reference.
    pub async fn push_image(&self) -> String {
        let digest = image::push(&self.client, &self.upstream()).await;
        self.image(digest)
    }

    /// As [`World::push_image`], into a repository below this world's own.
    pub async fn push_image_below(&self, name: &str) -> String {
        let digest = image::push(&self.client, &format!("{}/{name}", self.upstream())).await;
        format!("{}/{name}@{digest}", self.repository)
    }

    /// Adds rules (YAML, two blanks in front) to the policy, for when Signet reads it again.
    pub fn write_policy(&self, rules: &str) {
        let path = self.directory.path().join("policy.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + rules).unwrap();
    }

    /// The reference of a digest in this world's repository.
    pub fn image(&self, digest: Digest) -> String {
        format!("{}@{digest}", self.repository)
    }

    /// `http://registry/v2/name` past the proxy, so that it is not counted.
    pub fn upstream(&self) -> String {
        let (_, name) = self.repository.split_once('/').unwrap();
        format!("{}/v2/{name}", self.registry.url)
    }

    pub async fn sign(&self, request: Value) -> Answer {
        self.post("/v1/signatures", &self.token, request.to_string()).await
    }

    /// Pushes an index of these images past the proxy, and returns its reference.
    pub async fn push_index(&self, children: &[Descriptor]) -> (String, Descriptor) {
        let (digest, descriptor) = image::push_index(&self.client, &self.upstream(), children).await;
        (self.image(digest), descriptor)
    }

    /// Pushes an image past the proxy, and returns how an index describes it.
    pub async fn push_child(&self) -> Descriptor {
        image::push_described(&self.client, &self.upstream()).await
    }

    /// Posts with headers of one's own.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = self.client.post(format!("{}{path}", self.signet.api)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request.body(body.to_string()).send().await.unwrap()).await
    }

    /// Attests with this world's key.
    pub async fn attest(&self, request: Value) -> Answer {
        self.post("/v1/attestations", &self.token, request.to_string()).await
    }

    /// Signs a file with this world's key.
    pub async fn sign_blob(&self, request: Value) -> Answer {
        self.post("/v1/blobs", &self.token, request.to_string()).await
    }

    /// Signs an image with this world's key and defaults.
    pub async fn sign_image(&self, image: &str) -> Answer {
        self.sign(json!({"image": image})).await
    }

    pub async fn post(&self, path: &str, token: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.request(Method::POST, format!("{}{path}", self.signet.api));
        let request = request.header("Content-Type", "application/json").bearer_auth(token).body(body);
        Answer::read(request.send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.token, path).await
    }

    /// As [`World::get`], by whoever shows this token.
    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        let request = self.client.get(format!("{}{path}", self.signet.api)).bearer_auth(token);
        Answer::read(request.send().await.unwrap()).await
    }

    /// The log's entries that a query finds, on all pages.
    pub async fn entries(&self, query: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut path = format!("/v1/log/entries?{query}");
        loop {
            let answer = self.searched(&path).await;
            entries.extend(
                answer.body["entries"].as_array().unwrap().iter().map(|entry| entry["entry"].clone()),
            );
            match answer.body["next"].as_str() {
                Some(next) => next.clone_into(&mut path),
                None => return entries,
            }
        }
    }

    /// What the log answers once its search index knows every entry that is there now.
    pub async fn searched(&self, path: &str) -> Answer {
        let size = std::cell::OnceCell::new();
        let asking = async || {
            let answer = self.get(path).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let size = *size.get_or_init(|| answer.body["log_size"].as_u64().unwrap());
            let indexed = answer.body["indexed_through"].as_u64().map_or(0, |last| last + 1);
            (indexed >= size).then_some(answer)
        };
        self.eventually("the search index follows the log", asking).await
    }

    /// The value of a metric without labels, or of one with just these: `name{a="b"}`.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// What the admin listener says at `/metrics`.
    pub async fn metrics(&self) -> String {
        let request = self.client.get(format!("{}/metrics", self.signet.admin));
        request.send().await.unwrap().text().await.unwrap()
    }

    /// What the admin listener says at `/readyz`.
    pub async fn readiness(&self) -> Answer {
        Answer::read(self.client.get(format!("{}/readyz", self.signet.admin)).send().await.unwrap()).await
    }

    /// A call to Vault with the root token, past the proxy.
    pub async fn vault_call(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.client.request(method, format!("{}/v1/{path}", self.vault.address));
        let request = request.header("X-Vault-Token", &self.vault.root_token).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or(Value::Null)
    }

    /// Makes the key's next version.
    pub async fn rotate(&self) {
        self.vault_call(Method::POST, &format!("transit/keys/{}/rotate", self.key), json!({})).await;
    }

    /// Has Vault sign with versions from `version` on.
    pub async fn set_minimum(&self, version: u32) {
        let path = format!("transit/keys/{}/config", self.key);
        self.vault_call(Method::POST, &path, json!({"min_decryption_version": version})).await;
    }

    /// What the key signs when somebody asks Vault past Signet.
    pub async fn vault_signature(&self, message: &[u8]) -> Vec<u8> {
        let path = format!("transit/sign/{}/sha2-256", self.key);
        let signed = self.vault_call(Method::POST, &path, json!({"input": STANDARD.encode(message)})).await;
        let signature = signed["data"]["signature"].as_str().unwrap();
        STANDARD.decode(signature.rsplit(':').next().unwrap()).unwrap()
    }

    /// As [`World::vault_signature`], of a message that Vault is not shown: it takes no large ones.
    pub async fn vault_signature_of(&self, message: &[u8]) -> Vec<u8> {
        let path = format!("transit/sign/{}/sha2-256", self.key);
        let input = json!({"input": STANDARD.encode(Sha256::digest(message)), "prehashed": true});
        let signed = self.vault_call(Method::POST, &path, input).await;
        let signature = signed["data"]["signature"].as_str().unwrap();
        STANDARD.decode(signature.rsplit(':').next().unwrap()).unwrap()
    }

    /// A token for Signet that Vault takes now, beside the one that it began with.
    pub async fn new_vault_token(&self) -> String {
        if servers::are_real() {
            let keys = (&self.key, &self.log_key);
            return servers::signing_token_for(
                &self.client,
                &self.vault,
                keys.0,
                keys.1,
                &[self.settings.key],
            )
            .await;
        }
        let made = self.vault_call(Method::POST, "auth/token/create", json!({"policies": ["root"]})).await;
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// Has Signet show `token` to Vault from now on, as an agent would that renews it.
    pub fn write_vault_token(&self, token: &str) {
        std::fs::write(self.directory.path().join("vault-token"), token).unwrap();
    }

    /// The PEM of one version, from the API.
    pub async fn public_key(&self, version: u32) -> String {
        let url = format!("{}/v1/keys/{}/versions/{version}/public-key", self.signet.api, self.key);
        self.client.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// The keys of the log, a verifier key a line, from the API.
    pub async fn log_keys(&self) -> String {
        let url = format!("{}/.well-known/signet/log-keys", self.signet.api);
        let answer = self.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.text().await.unwrap()
    }

    /// Waits until Signet's log has `words`. Its lines come a little later than its answers.
    pub async fn logs(&self, words: &str) {
        let has = async || self.signet.log_lines().iter().any(|line| line.contains(words)).then_some(());
        self.eventually(words, has).await;
    }

    /// Asks `question` again and again until it answers, for at most 30 s: for things that happen soon, and not at once.
    pub async fn eventually<T>(&self, what: &str, question: impl AsyncFn() -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            assert!(tokio::time::Instant::now() < deadline, "it did not happen in 30 s: {what}");
            pause.tick().await;
        }
    }
}

impl Answer {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    /// The problem's code; empty for what is no problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

fn config(
    settings: &Settings,
    vault: &Proxy,
    registry: &Proxy,
    (key, log_key): (&str, &str),
    token: &str,
    outsider: &str,
) -> String {
    let digest = |token: &str| hex::encode(Sha256::digest(token));
    let mut text = String::new();
    let mut section = |header: &str, name: &str, own: &[String]| {
        let extra = settings.lines.iter().filter(|(section, _)| *section == name).map(|(_, line)| line);
        let _ = writeln!(text, "{header}");
        for line in own.iter().chain(extra) {
            let _ = writeln!(text, "{line}");
        }
    };
    section("[http]", "http", &["listen = '127.0.0.1:0'".into(), "admin_listen = '127.0.0.1:0'".into()]);
    if let Some(authority) = &settings.tls {
        let files = ["cert_file = 'tls.pem'".into(), "key_file = 'tls.key'".into()];
        let client_ca = format!("client_ca_file = '{}'", authority.file().display());
        section("[http.tls]", "http.tls", &[files.as_slice(), &[client_ca]].concat());
    }
    section("[vault]", "vault", &[format!("address = '{}'", vault.url())]);
    section("[vault.auth]", "vault.auth", &["method = 'token'".into(), "token_file = 'vault-token'".into()]);
    section("[vault.batch]", "vault.batch", &[]);
    let hash = settings.key.hash.map(|hash| format!("hash = '{hash}'"));
    section("[[keys]]", "keys", &[format!("name = '{key}'"), hash.unwrap_or_default()]);
    section(
        "[[registries]]",
        "registries",
        &[format!("host = '{}'", registry.address), "plain_http = true".into()],
    );
    section("[identity]", "identity", &[]);
    for (name, token) in [("ci", token), ("outsider", outsider)] {
        section(
            "[[identity.tokens]]",
            "identity.tokens",
            &[format!("name = '{name}'"), format!("sha256 = '{}'", digest(token))],
        );
    }
    section("[policy]", "policy", &["file = 'policy.yaml'".into()]);
    let place = match settings.postgres {
        false => "path = 'signet.db'",
        true => "backend = 'postgres'\nurl_file = 'postgres-url'",
    };
    section("[log]", "log", &[place.into(), format!("checkpoint_key = '{log_key}'")]);
    section("[limits]", "limits", &[]);
    section("[attach]", "attach", &[]);
    text + &settings.sections
}
