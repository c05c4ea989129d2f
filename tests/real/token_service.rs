//! A token service of the kind that registries send their clients to.
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use signet::domain::{Clock as _, SystemClock};

use crate::support::servers;

pub struct TokenService {
    /// `localhost:port`: crane takes no address on loopback for a token service.
    pub host: String,
    /// The key set by which a registry checks the tokens.
    pub jwks: Value,
    shared: Arc<Shared>,
}

struct Shared {
    key: EcdsaKeyPair,
    password: String,
    /// Who asked for which scopes, in their order.
    asked: Mutex<Vec<(String, Vec<String>)>>,
}

impl TokenService {
    /// Gives everybody who knows `password` whatever scopes they ask for.
    pub async fn start(password: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let jwks = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "kid": "test", "alg": "ES256", "use": "sig",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]});
        let shared = Arc::new(Shared { key, password: password.to_owned(), asked: Mutex::default() });
        let router = Router::new().route("/token", get(token)).with_state(shared.clone());
        let host = format!("localhost:{}", servers::serve(router).port());
        Self { host, jwks, shared }
    }

    /// The scopes of each request that this user made.
    pub fn scopes_of(&self, user: &str) -> Vec<Vec<String>> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|(name, _)| name == user).map(|(_, scopes)| scopes.clone()).collect()
    }
}

async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let Some(user) = user(&headers, &shared.password) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let query = query.unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let scopes: Vec<String> =
        pairs.filter(|(name, _)| name == "scope").map(|(_, scope)| scope.into_owned()).collect();
    shared.asked.lock().unwrap().push((user.clone(), scopes.clone()));
    let now = SystemClock.now().as_second();
    let claims = json!({
        "iss": "test", "aud": "test", "sub": user, "jti": servers::unique("token"),
        "iat": now, "nbf": now - 10, "exp": now + 300,
        "access": scopes.iter().filter_map(|scope| access(scope)).collect::<Vec<_>>(),
    });
    Json(json!({"token": sign(&shared.key, &claims), "expires_in": 300})).into_response()
}

/// The name of who knows the password.
fn user(headers: &HeaderMap, password: &str) -> Option<String> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let pair = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ")?).ok()?).ok()?;
    let (user, given) = pair.split_once(':')?;
    (given == password).then(|| user.to_owned())
}

/// A scope `repository:name:pull,push` as a claim.
fn access(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
}

/// A JSON Web Token with ES256: <https://www.rfc-editor.org/rfc/rfc7515>.
fn sign(key: &EcdsaKeyPair, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"typ": "JWT", "alg": "ES256", "kid": "test"});
    let text = format!("{}.{}", encode(&header), encode(claims));
    let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}
