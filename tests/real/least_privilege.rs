//! What a token with `config/vault-policy.hcl` can do in the real Vault, and what it can not.

use reqwest::Method;
use serde_json::{Value, json};

use crate::registries::demand_real_servers;
use crate::support::servers::{self, Vault};

struct Setting {
    client: reqwest::Client,
    vault: Vault,
    key: String,
    other: String,
    token: String,
}

#[tokio::test]
async fn the_token_can_sign_with_its_key_read_what_is_public_of_it_and_renew_itself() {
    let setting = Setting::new().await;
    let key = &setting.key;
    let read = setting.status(Method::GET, &format!("transit/keys/{key}"), Value::Null).await;
    let sign = setting.status(Method::POST, &format!("transit/sign/{key}/sha2-256"), signing()).await;
    let look = setting.status(Method::GET, "auth/token/lookup-self", Value::Null).await;
    let renew = setting.status(Method::POST, "auth/token/renew-self", json!({})).await;
    assert_eq!((read, sign, look, renew), (200, 200, 200, 200));
}

#[tokio::test]
async fn the_token_can_do_nothing_else() {
    let setting = Setting::new().await;
    let (key, other) = (&setting.key, &setting.other);
    let list = Method::from_bytes(b"LIST").unwrap();
    let with = |name: &str, value: Value| {
        let mut body = signing();
        body[name] = value;
        body
    };
    let get = |path: String| (Method::GET, path, Value::Null);
    let post = |path: String, body: Value| (Method::POST, path, body);
    let forbidden = [
        // Another key.
        get(format!("transit/keys/{other}")),
        post(format!("transit/sign/{other}/sha2-256"), signing()),
        (list, "transit/keys".to_owned(), Value::Null),
        // Another hash, or another form of the call.
        post(format!("transit/sign/{key}/sha2-512"), signing()),
        post(format!("transit/sign/{key}/none"), signing()),
        post(format!("transit/sign/{key}"), signing()),
        post(format!("transit/sign/{key}/sha2-256"), json!({"prehashed": true, "input": INPUT})),
        post(format!("transit/sign/{key}/sha2-256"), with("prehashed", json!(false))),
        post(format!("transit/sign/{key}/sha2-256"), with("marshaling_algorithm", json!("jws"))),
        post(format!("transit/sign/{key}/sha2-256"), with("hash_algorithm", json!("sha2-512"))),
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
    for (method, path, body) in forbidden {
        let status = setting.status(method.clone(), &path, body.clone()).await;
        assert_eq!(status, 403, "{method} {path} {body}");
    }
}

/// 32 bytes in base64.
const INPUT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The call that Signet makes.
fn signing() -> Value {
    json!({"prehashed": true, "marshaling_algorithm": "asn1", "key_version": 1, "batch_input": [{"input": INPUT, "reference": "0"}]})
}

impl Setting {
    async fn new() -> Self {
        demand_real_servers();
        let (client, vault) = (servers::client(), servers::vault());
        let (key, other) = (servers::unique("key"), servers::unique("other"));
        for key in [&key, &other] {
            let made = client.post(format!("{}/v1/transit/keys/{key}", vault.address));
            let made = made.header("X-Vault-Token", &vault.root_token).json(&json!({"type": "ecdsa-p256"}));
            assert_eq!(made.send().await.unwrap().status(), 200);
        }
        let token = servers::signing_token(&client, &vault, &key).await;
        Self { client, vault, key, other, token }
    }

    async fn status(&self, method: Method, path: &str, body: Value) -> u16 {
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.vault.address));
        if !body.is_null() {
            request = request.json(&body);
        }
        request.header("X-Vault-Token", &self.token).send().await.unwrap().status().as_u16()
    }
}
