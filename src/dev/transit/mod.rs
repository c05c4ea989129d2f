//! A stand-in for HashiCorp Vault's [transit engine] on loopback, with just enough of Vault around it: tokens, health, sealing.
//!
//! It answers with the statuses and bodies of Vault 1.21.2, odd ones included, for what Signet, cosign and the tests use; the
//! contract suite in `tests/wire/transit_contract.rs` runs against both. What it lacks it refuses in words of its own:
//! key types that do not sign, derived keys, the hash `sha3-224`, RSA over other hashes than SHA-2 of 256 bits and more,
//! exports of private keys. It keeps `auto_rotate_period`, and rotates nothing by itself. Policies are not read: a token
//! that has no policy but `default` may only look at itself and revoke itself, every other token may do everything, and
//! tokens live until they are revoked.
//!
//! [transit engine]: https://developer.hashicorp.com/vault/api-docs/secret/transit

mod answer;
mod decode;
mod fields;
mod keyring;
mod keys;
mod manner;
mod sign;
mod signing_key;
mod store;
mod system;
mod tokens;
mod verify;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use jiff::Timestamp;
use serde::Deserialize;

use answer::{Answer, Refusal};
use fields::Fields;
use keyring::Keyring;
use tokens::Tokens;

use super::body::{self, BodyError};

pub use system::UNSEAL_KEY;

/// How a [`Transit`] is set up.
pub struct Options {
    /// Where the engine is mounted, without slashes at the ends: `transit`.
    pub mount: String,
    /// The token that may do everything. Tokens that are made by calls are forgotten by a restart, this one is not.
    pub root_token: String,
    /// Where private keys are kept, one PKCS#8 file of mode 0600 for each version; `None` keeps them in memory.
    pub keys_dir: Option<PathBuf>,
    /// The server's clock.
    pub now: fn() -> Timestamp,
}

/// The server's state. Clones share it.
#[derive(Clone)]
pub struct Transit {
    shared: Arc<Shared>,
}

struct Shared {
    mount: String,
    keyring: RwLock<Keyring>,
    tokens: RwLock<Tokens>,
    sealed: AtomicBool,
    now: fn() -> Timestamp,
}

impl Transit {
    /// Starts unsealed, with the keys of `keys_dir`.
    ///
    /// # Errors
    ///
    /// `keys_dir` cannot be made or read, or holds something else than keys of this server.
    pub fn new(options: Options) -> io::Result<Self> {
        let keyring = match options.keys_dir {
            Some(directory) => Keyring::open(directory)?,
            None => Keyring::in_memory(),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                mount: options.mount,
                keyring: RwLock::new(keyring),
                tokens: RwLock::new(Tokens::new(options.root_token, (options.now)())),
                sealed: AtomicBool::new(false),
                now: options.now,
            }),
        })
    }

    /// The HTTP side: everything below `/v1/`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/{*path}", any(dispatch))
            .layer(axum::middleware::map_response(never_cache))
            .with_state(self.shared.clone())
    }
}

/// A poisoned lock is taken all the same: every change under it is one call on a map, so no panic leaves half a change.
impl Shared {
    fn now(&self) -> Timestamp {
        (self.now)()
    }

    fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    fn keyring(&self) -> RwLockReadGuard<'_, Keyring> {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn keyring_mut(&self) -> RwLockWriteGuard<'_, Keyring> {
        self.keyring.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> RwLockReadGuard<'_, Tokens> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens_mut(&self) -> RwLockWriteGuard<'_, Tokens> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Vault's names for what a caller does to a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Update,
    List,
    Delete,
    Other,
}

#[derive(Deserialize)]
struct Parameters {
    list: Option<String>,
}

async fn dispatch(
    State(shared): State<Arc<Shared>>,
    UrlPath(path): UrlPath<String>,
    Query(parameters): Query<Parameters>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let operation = match method.as_str() {
        "GET" if parameters.list.as_deref() == Some("true") => Operation::List,
        "GET" => Operation::Read,
        "POST" | "PUT" => Operation::Update,
        "LIST" => Operation::List,
        "DELETE" => Operation::Delete,
        _ => Operation::Other,
    };
    let fields = Fields::parse(&read_body(body).await?)?;
    let token = tokens::presented(&headers);
    if let Some(path) = path.strip_prefix("sys/") {
        return system::answer(&shared, path, &method, operation, token, &fields);
    }
    if shared.is_sealed() {
        return Err(Refusal::Sealed);
    }
    let caller = shared.tokens().authenticate(token)?;
    let answer = if let Some(path) = path.strip_prefix("auth/token/") {
        tokens::answer(&shared, path, operation, &caller, &fields)?
    } else {
        caller.require_rights()?;
        // Making an RSA key takes seconds, and a batch of RSA signatures too.
        let work = move || engine(&shared, &path, operation, &fields);
        match tokio::task::spawn_blocking(work).await {
            Ok(answer) => answer?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    };
    Ok(answer.into_response())
}

/// The table of contents of the engine itself.
fn engine(shared: &Shared, path: &str, operation: Operation, fields: &Fields) -> Result<Answer, Refusal> {
    use Operation::{Delete, List, Read, Update};
    let below = path
        .strip_prefix(&shared.mount)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| Refusal::NoRoute(path.to_owned()))?;
    let segments: Vec<&str> = below.split('/').collect();
    match (segments.as_slice(), operation) {
        (["keys"] | ["keys", ""], List) => keys::list(shared),
        (["keys"] | ["keys", ""], _) => Err(Refusal::UnsupportedOperation),
        (["keys", name], Read) => keys::read(shared, key_name(name)?),
        (["keys", name], Update) => keys::create(shared, key_name(name)?, fields),
        (["keys", name], Delete) => keys::delete(shared, key_name(name)?),
        (["keys", name, "rotate"], Update) => keys::rotate(shared, key_name(name)?),
        (["keys", name, "config"], Update) => keys::configure(shared, key_name(name)?, fields),
        (["keys", name, "trim"], Update) => keys::trim(shared, key_name(name)?, fields),
        (["export", kind, name], Read) => keys::export(shared, kind, key_name(name)?, None),
        (["export", kind, name, version], Read) => keys::export(shared, kind, key_name(name)?, Some(version)),
        (["sign", name, hash @ ..], Update) => sign::sign(shared, key_name(name)?, &hash.join("/"), fields),
        (["verify", name, hash @ ..], Update) => {
            verify::verify(shared, key_name(name)?, &hash.join("/"), fields)
        }
        (["keys" | "sign" | "verify", ..], List) => Err(Refusal::UnsupportedPath),
        (["keys", _] | ["keys", _, "rotate" | "config" | "trim"] | ["sign" | "verify", _, ..], _) => {
            Err(Refusal::UnsupportedOperation)
        }
        _ => Err(Refusal::UnsupportedPath),
    }
}

/// Vault's grammar for names in paths, which also makes them safe as file names: `\w(([\w.-]+)?\w)?`.
fn key_name(text: &str) -> Result<&str, Refusal> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let inner = |c: char| word(c) || c == '.' || c == '-';
    if text.starts_with(word) && text.ends_with(word) && text.chars().all(inner) {
        Ok(text)
    } else {
        Err(Refusal::UnsupportedPath)
    }
}

/// Vault takes bodies up to 32 MiB.
async fn read_body(body: Body) -> Result<Vec<u8>, Refusal> {
    const LIMIT: usize = 32 * 1024 * 1024;
    body::read(body, LIMIT).await.map_err(|error| match error {
        BodyError::TooLarge => Refusal::TooLarge,
        BodyError::Interrupted => Refusal::Malformed("unexpected EOF".to_owned()),
    })
}

async fn never_cache(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
