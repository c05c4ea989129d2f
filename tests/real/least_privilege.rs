//! What a token with `config/vault-policy.hcl` can do in the real Vault, and what it can not.

use reqwest::Method;
use serde_json::{Value, json};

use crate::registries::demand_real_servers;
use crate::support::servers::{self, KeyForm, Vault};

struct Setting {
    form: KeyForm,
    client: reqwest::Client,
    vault: Vault,
    key: String,
    /// The log's own.
    log_key: String,
    other: String,
    token: String,
}

/// The policy is one for ECDSA and RSA, but for the hash, and another for Ed25519.
const FORMS: [KeyForm; 4] = [
    KeyForm { key_type: "ecdsa-p256", hash: None },
    KeyForm { key_type: "ecdsa-p384", hash: Some("sha2-384") },
    KeyForm { key_type: "rsa-2048", hash: None },
    KeyForm { key_type: "ed25519", hash: None },
];

#[tokio::test]
async fn the_token_can_sign_with_its_key_read_what_is_public_of_it_and_renew_itself() {
    for form in FORMS {
        let setting = Setting::new(form).await;
        let read = setting.status(Method::GET, &format!("transit/keys/{}", setting.key), Value::Null).await;
        let sign = setting.status(Method::POST, &setting.sign_path(&setting.key), setting.signing()).await;
        let look = setting.status(Method::GET, "auth/token/lookup-self", Value::Null).await;
        let renew = setting.status(Method::POST, "auth/token/renew-self", json!({})).await;
        assert_eq!((read, sign, look, renew), (200, 200, 200, 200), "{form:?}");
        let log_key = &setting.log_key;
        let read = setting.status(Method::GET, &format!("transit/keys/{log_key}"), Value::Null).await;
        let sign =
            setting.status(Method::POST, &format!("transit/sign/{log_key}"), signing_a_checkpoint()).await;
        assert_eq!((read, sign), (200, 200), "{form:?}");
    }
}

#[tokio::test]
async fn the_token_can_do_nothing_else() {
    for form in FORMS {
        can_do_nothing_else(Setting::new(form).await).await;
    }
}

async fn can_do_nothing_else(setting: Setting) {
    let (key, log_key, other) = (&setting.key, &setting.log_key, &setting.other);
    let list = Method::from_bytes(b"LIST").unwrap();
    let with = |name: &str, value: Value| {
        let mut body = setting.signing();
        body[name] = value;
        body
    };
    let without = |name: &str| {
        let mut body = setting.signing();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let get = |path: String| (Method::GET, path, Value::Null);
    let post = |path: String, body: Value| (Method::POST, path, body);
    let sign = setting.sign_path(key);
    let prehashed = !setting.is_pure();
    let mut forbidden = vec![
        // Another key.
        get(format!("transit/keys/{other}")),
        post(setting.sign_path(other), setting.signing()),
        (list, "transit/keys".to_owned(), Value::Null),
        // Another hash, or another form of the call.
        post(format!("transit/sign/{key}/sha2-512"), setting.signing()),
        post(format!("transit/sign/{key}/none"), setting.signing()),
        post(
            sign.clone(),
            json!({"prehashed": prehashed, "signature_algorithm": "pkcs1v15", "input": INPUT}),
        ),
        post(sign.clone(), with("prehashed", json!(!prehashed))),
        post(sign.clone(), without("prehashed")),
        post(sign.clone(), without("batch_input")),
        post(sign.clone(), with("marshaling_algorithm", json!("jws"))),
        post(sign.clone(), with("hash_algorithm", json!("sha2-512"))),
        post(sign.clone(), with("salt_length", json!("auto"))),
        // The log's key, for anything but checkpoints.
        post(format!("transit/sign/{log_key}/sha2-256"), signing_a_checkpoint()),
        post(format!("transit/sign/{log_key}"), json!({"prehashed": false, "input": INPUT})),
        post(
            format!("transit/sign/{log_key}"),
            json!({"prehashed": true, "batch_input": [{"input": INPUT}]}),
        ),
        get(format!("transit/export/signing-key/{log_key}")),
        get(format!("transit/backup/{log_key}")),
        post(format!("transit/keys/{log_key}/rotate"), json!({})),
        post(format!("transit/keys/{log_key}/config"), json!({"exportable": true})),
        post(format!("transit/keys/{log_key}/trim"), json!({"min_available_version": 1})),
        (Method::DELETE, format!("transit/keys/{log_key}"), Value::Null),
        // What moves the key, or what it may do.
        get(format!("transit/export/signing-key/{key}")),
        get(format!("transit/export/signing-key/{key}/1")),
        get(format!("transit/backup/{key}")),
        post(format!("transit/keys/{key}/rotate"), json!({})),
        post(format!("transit/keys/{key}/config"), json!({"exportable": true})),
        post(format!("transit/keys/{key}/config"), json!({"deletion_allowed": true})),
        post(format!("transit/keys/{key}/trim"), json!({"min_available_version": 1})),
        (Method::DELETE, format!("transit/keys/{key}"), Value::Null),
        post(format!("transit/keys/{}", servers::unique("new")), json!({"type": "ecdsa-p256"})),
        // The rest of Vault, also what the default policy would allow.
        get("sys/mounts".to_owned()),
        get("sys/policies/acl/root".to_owned()),
        get("cubbyhole/anything".to_owned()),
        post("auth/token/create".to_owned(), json!({})),
        post("sys/wrapping/wrap".to_owned(), json!({"a": "b"})),
    ];
    match setting.is_pure() {
        true => forbidden.push(post(format!("transit/sign/{key}/sha2-256"), setting.signing())),
        false => forbidden.extend([
            post(format!("transit/sign/{key}"), setting.signing()),
            // PSS is Vault's default, and what it would sign with.
            post(sign.clone(), without("signature_algorithm")),
            post(sign.clone(), with("signature_algorithm", json!("pss"))),
        ]),
    }
    for (method, path, body) in forbidden {
        let status = setting.status(method.clone(), &path, body.clone()).await;
        assert_eq!(status, 403, "{:?} {method} {path} {body}", setting.form);
    }
}

/// 32 bytes in base64.
const INPUT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The call that Signet makes with the log's key.
fn signing_a_checkpoint() -> Value {
    json!({"prehashed": false, "key_version": 1, "batch_input": [{"input": INPUT, "reference": "0"}]})
}

impl Setting {
    async fn new(form: KeyForm) -> Self {
        demand_real_servers();
        let (client, vault) = (servers::client(), servers::vault());
        let [key, log_key, other] = ["key", "log-key", "other"].map(servers::unique);
        for (key, key_type) in [(&key, form.key_type), (&log_key, "ed25519"), (&other, form.key_type)] {
            let made = client.post(format!("{}/v1/transit/keys/{key}", vault.address));
            let made = made.header("X-Vault-Token", &vault.root_token).json(&json!({"type": key_type}));
            assert_eq!(made.send().await.unwrap().status(), 200);
        }
        let token = servers::signing_token_for(&client, &vault, &key, &log_key, &[form]).await;
        Self { form, client, vault, key, log_key, other, token }
    }

    fn is_pure(&self) -> bool {
        self.form.key_type == "ed25519"
    }

    fn sign_path(&self, key: &str) -> String {
        match self.is_pure() {
            true => format!("transit/sign/{key}"),
            false => format!("transit/sign/{key}/{}", self.form.hash.unwrap_or("sha2-256")),
        }
    }

    /// The call that Signet makes. The input is a digest of the right length for SHA-256, and a message like any other.
    fn signing(&self) -> Value {
        let mut body = json!({"prehashed": false, "key_version": 1, "batch_input": [{"input": INPUT, "reference": "0"}]});
        if !self.is_pure() {
            body["prehashed"] = json!(true);
            body["marshaling_algorithm"] = json!("asn1");
            body["signature_algorithm"] = json!("pkcs1v15");
        }
        body
    }

    async fn status(&self, method: Method, path: &str, body: Value) -> u16 {
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.vault.address));
        if !body.is_null() {
            request = request.json(&body);
        }
        request.header("X-Vault-Token", &self.token).send().await.unwrap().status().as_u16()
    }
}
