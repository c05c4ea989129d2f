//! What Signet relies on in Vault's transit engine, asked of the real Vault and of the stand-in alike: statuses, error
//! texts, fields. What only one of the two has is not asked for.

mod keys;
mod sign;
mod system;
mod trim;
mod types;
mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::servers::{self, Vault};

/// A caller of the shared Vault with the root token, and a key of its own.
struct Caller {
    client: Client,
    vault: Vault,
    /// Of this test alone; not made until the test makes it.
    key: String,
}

/// Status and body; a missing body is null.
type Answer = (u16, Value);

impl Caller {
    fn new() -> Self {
        Self { client: servers::client(), vault: servers::vault(), key: servers::unique("key") }
    }

    async fn with_key() -> Self {
        Self::with_key_of("ecdsa-p256").await
    }

    async fn with_key_of(key_type: &str) -> Self {
        let caller = Self::new();
        let path = format!("transit/keys/{}", caller.key);
        let (status, body) = caller.post(&path, json!({"type": key_type})).await;
        assert_eq!(status, 200, "{body}");
        caller
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &self.vault.root_token, String::new()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, &self.vault.root_token, body.to_string()).await
    }

    /// An empty token is not sent at all.
    async fn call(&self, method: Method, path: &str, token: &str, body: String) -> Answer {
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.vault.address)).body(body);
        if !token.is_empty() {
            request = request.header("x-vault-token", token);
        }
        let answer = request.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("the body arrives whole");
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) })
    }

    /// The key as `GET keys/…` shows it.
    async fn read_key(&self) -> Value {
        let (status, mut body) = self.get(&format!("transit/keys/{}", self.key)).await;
        assert_eq!(status, 200, "{body}");
        body["data"].take()
    }

    async fn sign(&self, body: Value) -> Answer {
        self.post(&format!("transit/sign/{}", self.key), body).await
    }

    async fn rotate(&self) {
        let (status, body) = self.post(&format!("transit/keys/{}/rotate", self.key), json!({})).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn configure(&self, settings: Value) -> Answer {
        self.post(&format!("transit/keys/{}/config", self.key), settings).await
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// How Vault refuses: one text, as it is.
fn refusal(status: u16, error: &str) -> Answer {
    (status, json!({"errors": [error]}))
}

/// How Vault refuses where an error came from deeper within.
fn listed(status: u16, error: &str) -> Answer {
    refusal(status, &format!("1 error occurred:\n\t* {error}\n\n"))
}

/// The envelope of a 200 without what differs from call to call: `request_id` is checked and taken out.
fn envelope(answer: Answer) -> Value {
    let (status, mut body) = answer;
    assert_eq!(status, 200, "{body}");
    let fields = body.as_object_mut().expect("an answer is an object");
    let id = fields.remove("request_id").expect("an answer has a request id");
    uuid::Uuid::parse_str(id.as_str().expect("the id is a text")).expect("the id is a UUID");
    body
}

/// What [`envelope`] leaves of an answer of transit without warnings.
fn plain(data: Value) -> Value {
    json!({
        "lease_id": "", "renewable": false, "lease_duration": 0, "data": data,
        "wrap_info": null, "warnings": null, "auth": null, "mount_type": "transit",
    })
}
