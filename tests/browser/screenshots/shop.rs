//! A shop that signs its images: the projects, their keys and rules, a month of log behind them, and what happened a moment ago.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use signet::config::LogConfig;
use signet::domain::{Clock as _, Digest, KeyVersion, PublicKey, SystemClock, Timestamp};
use signet::ports::{ArchivedVersion, NewEntry, Writes};
use signet::store;
use tempfile::TempDir;

use super::past::{self, KeyLife};
use crate::support::issuer::{Issuer, SigningKey};
use crate::support::servers::{self, Running, Vault};
use crate::support::{Answer, Fault, Proxy, Signet, image};

/// A running Signet of the shop.
pub struct Shop {
    pub signet: Signet,
    /// The ID token of somebody who audits.
    pub auditor: String,
    story: String,
    entry: u64,
    client: Client,
    registry: String,
    jobs: SigningKey,
    _directory: TempDir,
    _vault: Option<Running>,
}

/// Names of keys, with how many days ago each of their versions was made.
const KEYS: [(&str, &[i64]); 2] = [("release", &[74, 44, 19, 5]), ("mobile", &[51, 16])];

/// Versions of the first key below this one sign no more.
const MINIMUM: u32 = 3;

const HOST: &str = "registry.example.com";

const POLICY: &str = r#"version: 1
rules:
  - id: auditors
    effect: allow
    identity: {issuer: corp, claims: {groups: [security, audit]}}
    operations: [log.read]
  - id: payments-release
    effect: allow
    identity:
      issuer: gitlab
      claims: {project_id: "4711", ref_protected: "true", pipeline_source: [push, web]}
      globs: {ref_path: "refs/tags/v*"}
    repositories: ["registry.example.com/payments/**"]
    keys: [release]
    operations: [sign, attest, blob, verify]
  - id: web-release
    effect: allow
    identity:
      issuer: gitlab
      claims: {project_id: "4802", ref_protected: "true", pipeline_source: [push, web]}
      globs: {ref_path: "refs/tags/v*"}
    repositories: ["registry.example.com/web/**"]
    keys: [release]
    operations: [sign, attest, verify]
  - id: mobile-release
    effect: allow
    identity: {issuer: gitlab, claims: {project_id: "5120", ref_protected: "true"}}
    repositories: ["registry.example.com/mobile/**"]
    keys: [mobile]
    operations: [sign, blob, verify]
  - id: no-sandbox
    effect: deny
    repositories: ["registry.example.com/payments/sandbox/**"]
    operations: [sign, attest]
"#;

impl Shop {
    pub async fn open() -> Self {
        let client = servers::client();
        let (vault, process) = servers::private_vault(&client).await;
        servers::mount_transit(&client, &vault).await;
        let now = SystemClock.now();
        let vault_proxy = Proxy::start(&vault.address).await;
        vault_proxy.break_with(move |call| {
            let (name, days) =
                KEYS.into_iter().find(|(name, _)| call.path == format!("/v1/transit/keys/{name}"))?;
            let is_asked = call.method == Method::GET;
            is_asked.then(|| Fault::Change(std::sync::Arc::new(move |body| backdated(body, name, days, now))))
        });
        let lives = keys(&client, &vault, now).await;

        // It stands for the host, which is nowhere: Signet asks it as a proxy.
        let registry = servers::registries().into_iter().next().expect("there is a registry").url;
        let host = Proxy::start(&registry).await;
        let directory = tempfile::tempdir().expect("a folder can be made");
        let jobs = SigningKey::ec("jobs");
        let people = Issuer::start().await;
        people.publish([jobs.jwk()]);
        let write =
            |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("it is new");
        write("keys.json", &json!({"keys": [jobs.jwk()]}).to_string());
        write("vault-token", &vault.root_token);
        write("policy.yaml", POLICY);
        write("signet.toml", &config(&vault_proxy.url(), &people));
        fill(&LogConfig::sqlite(directory.path().join("signet.db")), &lives, now);
        let signet =
            Signet::serve_with(&directory.path().join("signet.toml"), &[("HTTP_PROXY", &host.url())]);
        let auditor = jobs.sign(&json!({
            "iss": people.url, "aud": "signet-audit", "sub": "ada", "email": "ada@example.com",
            "groups": ["audit"], "iat": now.as_second(), "exp": now.as_second() + 3600, "jti": "ada-1",
        }));
        let mut shop = Self {
            signet,
            auditor,
            story: String::new(),
            entry: 0,
            client,
            registry,
            jobs,
            _directory: directory,
            _vault: process,
        };
        shop.work(now).await;
        shop
    }

    /// The pages of which there are pictures, by their names, with their paths.
    pub fn pages(&self) -> Vec<(&'static str, String)> {
        let day = |days| past::ago(SystemClock.now(), days).strftime("%Y-%m-%d").to_string();
        let of = "registry.example.com/payments/**";
        vec![
            ("overview", "/audit".to_owned()),
            ("search", format!("/audit/search?q={of}&from={}", day(0))),
            ("signatures", format!("/audit/signatures?q={of}&from={}", day(0))),
            ("story", format!("/audit/signatures/{}", self.story)),
            ("entry", format!("/audit/entries/{}", self.entry)),
            ("keys", "/audit/keys".to_owned()),
            ("key", format!("/audit/keys/release?version=2&from={0}&to={0}", day(22))),
            ("refusals", format!("/audit/refusals?from={}", day(1))),
        ]
    }

    /// What happened a moment ago, in the real registry with the real keys.
    async fn work(&mut self, now: Timestamp) {
        let release = self.job(now, "4711", "payments/api", "refs/tags/v2.31.0", "true");
        let feature = self.job(now, "4711", "payments/api", "refs/heads/faster-refunds", "false");
        let web = self.job(now, "4802", "web/storefront", "refs/tags/v118", "true");
        let api = self.push("payments/api").await;
        let ledger = self.push("payments/ledger").await;
        let sandbox = self.push("payments/sandbox/load-test").await;
        for image in [&self.push("web/storefront").await, &self.push("web/checkout").await] {
            self.done("signatures", &web, json!({"image": image}), 201).await;
        }
        self.done("signatures", &release, json!({"image": ledger}), 201).await;
        self.done("signatures", &feature, json!({"image": api}), 403).await;
        self.done("signatures", &web, json!({"image": ledger}), 403).await;
        self.done("signatures", &release, json!({"image": sandbox}), 403).await;
        self.done("signatures", &release, json!({"image": api, "key": "mobile"}), 403).await;
        let annotations = json!({"commit": "9f2c1e7", "pipeline": "1184203", "release": "v2.31.0"});
        let made =
            self.done("signatures", &release, json!({"image": api, "annotations": annotations}), 201).await;
        made.body["id"].as_str().expect("a signature has an id").clone_into(&mut self.story);
        let sbom = json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "payments/api", "packages": []});
        let sbom = json!({"image": api, "predicate_type": "https://spdx.dev/Document", "predicate": sbom});
        self.done("attestations", &release, sbom, 201).await;
        let file = json!({"digest": Digest::of(b"chart").to_string(), "name": "payments-api-2.31.0.tgz"});
        self.done("blobs", &release, file, 201).await;
        self.entry = made.body["log"]["index"].as_u64().expect("a signature is in the log");
        self.indexed().await;
    }

    /// A job's token.
    fn job(&self, now: Timestamp, project: &str, path: &str, reference: &str, is_protected: &str) -> String {
        self.jobs.sign(&json!({
            "iss": "https://gitlab.example.com", "aud": "https://signet.example.com",
            "sub": format!("project_path:{path}:ref:{reference}"), "project_id": project, "project_path": path,
            "ref_path": reference, "ref_protected": is_protected, "pipeline_source": "push",
            "iat": now.as_second(), "exp": now.as_second() + 3600, "jti": servers::unique("job"),
        }))
    }

    /// Pushes an image, and returns its reference.
    async fn push(&self, name: &str) -> String {
        let digest = image::push(&self.client, &format!("{}/v2/{name}", self.registry)).await;
        format!("{HOST}/{name}@{digest}")
    }

    async fn done(&self, what: &str, token: &str, request: Value, status: u16) -> Answer {
        let post =
            self.client.post(format!("{}/v1/{what}", self.signet.api)).bearer_auth(token).json(&request);
        let answer = Answer::read(post.send().await.expect("Signet answers")).await;
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        answer
    }

    /// Waits until everything can be searched.
    async fn indexed(&self) {
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(200));
        for _ in 0..300 {
            pause.tick().await;
            let url = format!("{}/v1/log/entries?kind=refusal&limit=1", self.signet.api);
            let asked = self.client.get(url).bearer_auth(&self.auditor).send().await.expect("Signet answers");
            let answer = Answer::read(asked).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.body["indexed_through"].as_u64().map_or(0, |last| last + 1)
                >= answer.body["log_size"].as_u64().unwrap_or(1)
            {
                return;
            }
        }
        panic!("the index does not follow the log");
    }
}

/// Makes the keys with all their versions.
async fn keys(client: &Client, vault: &Vault, now: Timestamp) -> Vec<KeyLife> {
    let call = async |method: Method, path: String, body: Value| {
        let request = client.request(method, format!("{}/v1/transit/keys/{path}", vault.address));
        let answer = request.header("X-Vault-Token", &vault.root_token).json(&body).send().await;
        let answer = answer.expect("Vault answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap_or_default()
    };
    call(Method::POST, "signet-log".to_owned(), json!({"type": "ed25519"})).await;
    let mut lives = Vec::new();
    for (name, days) in KEYS {
        call(Method::POST, name.to_owned(), json!({"type": "ecdsa-p256", "auto_rotate_period": "720h"}))
            .await;
        for _ in 1..days.len() {
            call(Method::POST, format!("{name}/rotate"), json!({})).await;
        }
        let made = call(Method::GET, name.to_owned(), Value::Null).await;
        let version = |(place, days): (usize, &i64)| {
            let number = u32::try_from(place + 1).expect("a few versions");
            let pem = made["data"]["keys"][number.to_string()]["public_key"].as_str().expect("a public key");
            ArchivedVersion {
                key: name.parse().expect("a key's name"),
                version: KeyVersion::new(number).expect("from 1"),
                public_key: PublicKey::from_pem(pem).expect("a public key in PEM"),
                created_at: past::ago(now, *days),
            }
        };
        lives.push(KeyLife { versions: days.iter().enumerate().map(version).collect() });
    }
    let name = KEYS[0].0;
    call(Method::POST, format!("{name}/config"), json!({"min_decryption_version": MINIMUM})).await;
    lives
}

/// Vault's answer about a key that was made a moment ago, as if its versions had been made when the shop says.
fn backdated(body: &[u8], name: &str, days: &[i64], now: Timestamp) -> Vec<u8> {
    let mut answer: Value = serde_json::from_slice(body).unwrap_or_default();
    assert_eq!(answer["data"]["name"], name);
    for (number, version) in answer["data"]["keys"].as_object_mut().into_iter().flatten() {
        let place = number.parse::<usize>().expect("versions are numbers") - 1;
        version["creation_time"] = json!(past::ago(now, days[place]).to_string());
    }
    answer.to_string().into_bytes()
}

/// Writes the month before.
fn fill(config: &LogConfig, lives: &[KeyLife], now: Timestamp) {
    let mut store = store::open(config).expect("a new file can be used").store;
    let archived = lives.iter().flat_map(|life| life.versions.clone()).collect();
    let entries = past::month(lives, Digest::of(POLICY.as_bytes()), now);
    let entries =
        entries.into_iter().map(|entry| NewEntry::try_from(entry).expect("a short entry")).collect();
    store.commit(&Writes { entries, archived, ..Writes::default() }).expect("it can be written");
    store.close().expect("it can be closed");
}

fn config(vault: &str, people: &Issuer) -> String {
    let corp = people
        .section("corp", "principal_claim = 'email'\naudience = 'signet-audit'\nalgorithms = ['ES256']");
    let keys: String = KEYS.iter().map(|(name, _)| format!("[[keys]]\nname = '{name}'\n")).collect();
    format!(
        "[http]\nlisten = '127.0.0.1:0'\nadmin_listen = '127.0.0.1:0'\npublic_url = 'https://signet.example.com'\n\
         [vault]\naddress = '{vault}'\n[vault.auth]\nmethod = 'token'\ntoken_file = 'vault-token'\n{keys}\
         [[registries]]\nhost = '{HOST}'\nplain_http = true\n\
         [identity]\naudience = 'https://signet.example.com'\n\
         [[identity.issuers]]\nname = 'gitlab'\nissuer = 'https://gitlab.example.com'\nplatform = 'gitlab'\n\
         algorithms = ['ES256']\njwks_file = 'keys.json'\n\
         {corp}\
         [audit.login]\nissuer = 'corp'\nclient_id = 'signet-audit'\n\
         [policy]\nfile = 'policy.yaml'\n[log]\npath = 'signet.db'\ncheckpoint_key = 'signet-log'\n"
    )
}
