//! A server on loopback that plays Vault, counts the calls, and can be told to misbehave.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::domain::Digest;

pub(super) struct FakeVault {
    pub(super) address: String,
    inner: Arc<Inner>,
}

struct Inner {
    calls: Mutex<Vec<Call>>,
    /// What a test wants instead of the ordinary answer.
    script: Mutex<Script>,
    /// Signing calls pass one by one while it is there.
    gate: Mutex<Option<Arc<Semaphore>>>,
    key: Mutex<Value>,
}

type Script = Box<dyn Fn(&Call) -> Option<Response> + Send>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Without `/v1/`.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn is_sign(&self) -> bool {
        self.path.contains("/sign/")
    }

    pub(super) fn items(&self) -> usize {
        self.body["batch_input"].as_array().unwrap().len()
    }
}

impl FakeVault {
    pub(super) async fn start() -> Self {
        let inner = Arc::new(Inner {
            calls: Mutex::default(),
            script: Mutex::new(Box::new(|_| None)),
            gate: Mutex::default(),
            key: Mutex::new(key_with_versions(1)),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// From now on `script` answers, where it does; else the ordinary answer is given.
    pub(super) fn script(&self, script: impl Fn(&Call) -> Option<Response> + Send + 'static) {
        *self.inner.script.lock().unwrap() = Box::new(script);
    }

    /// Signing calls wait from now on; each permit of the answer lets one pass.
    pub(super) fn close(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.inner.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    pub(super) fn set_key(&self, key: Value) {
        *self.inner.key.lock().unwrap() = key;
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().unwrap().clone()
    }

    pub(super) fn signing_calls(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::is_sign).collect()
    }

    pub(super) fn count(&self, part_of_path: &str) -> usize {
        self.calls().iter().filter(|call| call.path.contains(part_of_path)).count()
    }
}

/// Some key on P-256: nothing here checks a signature.
pub(super) const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5td0eh5Qvosq/hxKIpac2wzmRcN5
3iKvRtd0+85njejY1Hr75dyhJGBHgColY2zY7mn3qhrxeo21MkCJ7JyjlA==
-----END PUBLIC KEY-----
";

/// What Vault says of a P-256 key whose newest version is `latest`: all versions have one public key.
pub(super) fn key_with_versions(latest: u32) -> Value {
    key_of((1..=latest).map(|number| (number, PUBLIC_KEY)))
}

/// What Vault says of a P-256 key that publishes these versions.
pub(super) fn key_of<'a>(versions: impl Iterator<Item = (u32, &'a str)>) -> Value {
    let version = |public_key| {
        json!({
            "public_key": public_key, "creation_time": "2026-01-01T10:00:00.123456789+01:00", "name": "P-256",
            "certificate_chain": "", "hybrid_public_key": "",
        })
    };
    let versions: Vec<_> = versions.collect();
    let numbers = || versions.iter().map(|(number, _)| *number);
    let keys: serde_json::Map<_, _> =
        versions.iter().map(|(number, pem)| (number.to_string(), version(*pem))).collect();
    json!({
        "type": "ecdsa-p256", "latest_version": numbers().max(), "min_decryption_version": numbers().min(),
        "min_encryption_version": 0, "min_available_version": 0, "auto_rotate_period": 0, "keys": keys,
    })
}

/// What the fake signs `digest` with.
pub(super) fn signature_of(digest: Digest) -> Vec<u8> {
    [&b"signed "[..], digest.as_bytes()].concat()
}

/// An error as Vault words it.
pub(super) fn error(status: u16, text: &str) -> Response {
    let errors: Vec<&str> = if text.is_empty() { Vec::new() } else { vec![text] };
    (StatusCode::from_u16(status).unwrap(), json!({ "errors": errors }).to_string()).into_response()
}

/// `data` in Vault's envelope.
pub(super) fn data(data: &Value) -> Response {
    let envelope = json!({
        "request_id": "b3f4", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data,
        "wrap_info": null, "warnings": null, "auth": null, "mount_type": "transit",
    });
    envelope.to_string().into_response()
}

/// `token` as a login gives it, for an hour.
pub(super) fn login(token: &str) -> Response {
    let auth = json!({
        "client_token": token, "accessor": "a1", "policies": ["signet"], "token_policies": ["signet"],
        "metadata": {"role_name": "signet"}, "lease_duration": 3600, "renewable": true, "entity_id": "e1",
        "token_type": "service", "orphan": true, "mfa_requirement": null, "num_uses": 0,
    });
    let envelope = json!({
        "request_id": "b3f4", "lease_id": "", "renewable": false, "lease_duration": 0, "data": null,
        "wrap_info": null, "warnings": null, "auth": auth, "mount_type": "",
    });
    envelope.to_string().into_response()
}

/// The ordinary results of a signing call.
pub(super) fn results(call: &Call) -> Vec<Value> {
    let sign = |item: &Value| {
        let input = STANDARD.decode(item["input"].as_str().unwrap()).unwrap();
        let signature = [&b"signed "[..], &input].concat();
        json!({
            "signature": format!("vault:v{}:{}", call.body["key_version"], STANDARD.encode(signature)),
            "reference": item["reference"], "key_version": call.body["key_version"],
        })
    };
    call.body["batch_input"].as_array().unwrap().iter().map(sign).collect()
}

async fn answer(State(inner): State<Arc<Inner>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().strip_prefix("/v1/").unwrap_or(uri.path()).to_owned();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let call = Call { path, headers, body };
    inner.calls.lock().unwrap().push(call.clone());

    let gate = inner.gate.lock().unwrap().clone().filter(|_| call.is_sign());
    if let Some(gate) = gate {
        gate.acquire().await.unwrap().forget();
    }
    // A script that panics plays a connection that breaks.
    if let Some(response) = (inner.script.lock().unwrap_or_else(PoisonError::into_inner))(&call) {
        return response;
    }
    match call.path.as_str() {
        "sys/health" => "{}".into_response(),
        path if path.starts_with("auth/") && path.ends_with("/login") => login("session"),
        "auth/token/lookup-self" => data(&json!({"id": "good"})),
        _ if call.is_sign() => data(&json!({"batch_results": results(&call)})),
        _ => data(&inner.key.lock().unwrap()),
    }
}
