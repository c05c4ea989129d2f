//! An issuer of tokens, as CI platforms are: discovery and keys over HTTPS, with a certificate of an authority of its own.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA512, RsaKeyPair,
};
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use signet::domain::{Clock as _, SystemClock};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::servers::unique;

pub const AUDIENCE: &str = "https://signet.example.com";

/// An issuer on this machine. Clones share everything; it ends with the test's runtime.
#[derive(Clone)]
pub struct Issuer {
    /// What stands in `iss`: `https://localhost:port`, and a path where one was asked for.
    pub url: String,
    /// The authority that signed its certificate.
    pub ca_file: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    origin: String,
    state: Mutex<State>,
    _directory: TempDir,
}

struct State {
    keys: Vec<Value>,
    manner: Manner,
    requests: Vec<String>,
    /// What it answers to whoever asks for a token: a status and a body; with what it was asked.
    token: (u16, String),
    forms: Vec<String>,
}

/// How it answers when it is asked for its keys.
#[derive(Clone)]
pub enum Manner {
    Good,
    /// With a header that says for how many seconds the keys are fresh.
    Status(u16),
    Redirect(String),
    Hang,
    /// So many bytes of white space, with their number in front or without.
    Large {
        bytes: usize,
        announced: bool,
    },
    Text(String),
    /// The discovery document says that the keys are there.
    KeysAt(String),
    /// The discovery document says that it is this issuer's.
    As(String),
}

impl Issuer {
    /// At the root of its host.
    pub async fn start() -> Self {
        Self::start_at("").await
    }

    /// At `path` of its host, `/org/1`; nothing else is served there.
    pub async fn start_at(path: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let (authority, acceptor) = certificates();
        let ca_file = directory.path().join("issuer-ca.pem");
        std::fs::write(&ca_file, authority).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let state = State {
            keys: Vec::new(),
            manner: Manner::Good,
            requests: Vec::new(),
            token: (404, String::new()),
            forms: Vec::new(),
        };
        let shared =
            Arc::new(Shared { origin: origin.clone(), state: Mutex::new(state), _directory: directory });
        let issuer = Self { url: format!("{origin}{path}"), ca_file, shared };
        tokio::spawn(issuer.clone().accept(listener, acceptor));
        issuer
    }

    /// Publishes these keys from now on, and no others.
    pub fn publish(&self, keys: impl IntoIterator<Item = Value>) {
        self.shared.state.lock().unwrap().keys = keys.into_iter().collect();
    }

    pub fn answer_with(&self, manner: Manner) {
        self.shared.state.lock().unwrap().manner = manner;
    }

    /// Answers with this to whoever asks for a token from now on.
    pub fn give_token(&self, status: u16, body: &str) {
        self.shared.state.lock().unwrap().token = (status, body.to_owned());
    }

    /// The forms with which a token was asked for.
    pub fn forms(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().forms.clone()
    }

    /// The paths of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// How often the keys were fetched.
    pub fn fetches(&self) -> usize {
        self.requests().iter().filter(|path| *path == "/keys").count()
    }

    /// Where its keys are.
    pub fn jwks_uri(&self) -> String {
        format!("{}/keys", self.shared.origin)
    }

    /// Its section of the configuration, with more lines.
    pub fn section(&self, name: &str, lines: &str) -> String {
        format!(
            "[[identity.issuers]]\nname = '{name}'\nissuer = '{}'\nca_file = '{}'\n{lines}\n",
            self.url,
            self.ca_file.display()
        )
    }

    /// The least that a right token says, for five minutes from now on.
    pub fn claims(&self) -> Value {
        let now = now();
        json!({
            "iss": self.url, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300,
            "sub": "project_path:team/app:ref_type:branch:ref:main", "jti": unique("jti"),
        })
    }

    async fn accept(self, listener: TcpListener, acceptor: TlsAcceptor) {
        while let Ok((stream, _)) = listener.accept().await {
            let (issuer, acceptor) = (self.clone(), acceptor.clone());
            tokio::spawn(async move {
                // A client that does not trust the certificate ends the connection here.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    let issuer = issuer.clone();
                    async move {
                        let path = request.uri().path_and_query().map(ToString::to_string);
                        let body = axum::body::to_bytes(Body::new(request.into_body()), 1 << 20).await;
                        let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
                        Ok::<_, Infallible>(issuer.answer(path.unwrap_or_default(), body).await)
                    }
                });
                let _ =
                    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(&self, path: String, body: String) -> Response<Body> {
        let (manner, keys) = {
            let mut state = self.shared.state.lock().unwrap();
            state.requests.push(path.clone());
            (state.manner.clone(), json!({"keys": state.keys}))
        };
        let discovery = format!("{}/.well-known/openid-configuration", self.url);
        let (mut issuer, mut jwks_uri) = (self.url.clone(), self.jwks_uri());
        match &manner {
            Manner::As(other) => issuer.clone_from(other),
            Manner::KeysAt(url) => jwks_uri.clone_from(url),
            _ => {}
        }
        if discovery == format!("{}{path}", self.shared.origin) {
            let document = json!({
                "issuer": issuer, "jwks_uri": jwks_uri, "subject_types_supported": ["public"],
                "authorization_endpoint": format!("{}/authorize", self.shared.origin),
                "token_endpoint": format!("{}/token", self.shared.origin),
            });
            return Response::new(Body::from(document.to_string()));
        }
        if path == "/token" {
            let mut state = self.shared.state.lock().unwrap();
            state.forms.push(body);
            let (code, text) = state.token.clone();
            let mut response = status(code);
            *response.body_mut() = Body::from(text);
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            return response;
        }
        if path != "/keys" {
            return status(404);
        }
        match manner {
            Manner::Good | Manner::As(_) | Manner::KeysAt(_) => Response::new(Body::from(keys.to_string())),
            Manner::Status(code) => status(code),
            Manner::Redirect(to) => {
                let mut response = status(302);
                response.headers_mut().insert(header::LOCATION, to.parse().unwrap());
                response
            }
            Manner::Hang => std::future::pending().await,
            Manner::Text(text) => Response::new(Body::from(text)),
            Manner::Large { bytes, announced } => {
                let piece = Bytes::from(vec![b' '; 64 * 1024]);
                let pieces = (0..bytes / piece.len()).map(move |_| Ok::<_, Infallible>(piece.clone()));
                let mut response = Response::new(Body::from_stream(stream::iter(pieces)));
                if announced {
                    response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
                }
                response
            }
        }
    }
}

/// A key of an issuer, with its name.
pub struct SigningKey {
    pub kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    pub fn rsa(kid: &str) -> Self {
        let pair = Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
        Self { kid: kid.to_owned(), pair }
    }

    pub fn ec(kid: &str) -> Self {
        let pair = Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
        Self { kid: kid.to_owned(), pair }
    }

    pub fn ed(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: Pair::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    /// What it signs with, unless somebody asks for another.
    pub const fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// As it is published.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let n = text(public.modulus().big_endian_without_leading_zero());
                json!({"kty": "RSA", "n": n, "e": text(public.exponent().big_endian_without_leading_zero())})
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())}),
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm());
        jwk
    }

    /// The public key in DER, as somebody would who takes it for a password.
    pub fn public_der(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), &claims.to_string())
    }

    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "typ": "JWT", "kid": self.kid})
    }

    /// A token with this header and these claims, word by word. Its signature is right, for what `alg` says where this key
    /// can make that, and else for this key's own algorithm.
    pub fn sign_with(&self, header: &Value, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(&header.to_string()), part(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let encoding = if header["alg"] == "RS512" { &RSA_PKCS1_SHA512 } else { &RSA_PKCS1_SHA256 };
                pair.sign(encoding, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// In seconds since 1970.
pub fn now() -> i64 {
    SystemClock.now().as_second()
}

fn status(code: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// An authority's certificate (PEM), and what speaks TLS with one for this machine that it signed.
fn certificates() -> (String, TlsAcceptor) {
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority =
        rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}
