//! The adapter against small registries on loopback that misbehave on purpose.

mod attach;
mod auth;
mod empty;
mod faults;
mod memory;
mod redirects;
mod referrers;
mod server;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use self::server::Server;
use super::OciRegistries;
use super::retry::Pauses;
use crate::config::RegistryConfig;
use crate::domain::{Digest, ImageReference, Repository};
use crate::metrics::Metrics;
use crate::ports::RegistryError;

/// No test waits for longer than it takes to notice that something waits.
const PAUSES: Pauses = Pauses { backoff: [Duration::from_millis(1); 2], lag: [Duration::from_millis(1); 3] };

/// An answer that can be given many times.
type Answer = fn() -> Response;

/// Whether an error is the right one.
type Expected = fn(&RegistryError) -> bool;

/// The configuration for `server`, with the fields of `more` on top.
fn config(server: &Server, more: &Value) -> RegistryConfig {
    let mut fields = json!({ "host": server.host, "plain_http": true });
    for (key, value) in more.as_object().expect("invariant: tests give objects") {
        fields[key] = value.clone();
    }
    serde_json::from_value(fields).unwrap()
}

/// The adapter with `server` as its only registry.
fn client(server: &Server) -> OciRegistries {
    client_with(&config(server, &json!({})))
}

fn client_with(config: &RegistryConfig) -> OciRegistries {
    client_counting(config, Arc::new(Metrics::new()))
}

/// What `main` does for the service. Another test may have been first.
fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn client_counting(config: &RegistryConfig, metrics: Arc<Metrics>) -> OciRegistries {
    install_crypto();
    OciRegistries::with_pauses(std::slice::from_ref(config), metrics, PAUSES).unwrap()
}

fn repository(server: &Server, path: &str) -> Repository {
    format!("{}/{path}", server.host).parse().unwrap()
}

/// The image `app` whose manifest is `content`.
fn image(server: &Server, content: &[u8]) -> ImageReference {
    ImageReference { repository: repository(server, "app"), digest: Digest::of(content) }
}

fn status(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap().into_response()
}

/// As registries explain themselves.
fn problem(status: u16, code: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": "no" }] }).to_string();
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

fn with(mut response: Response, name: &'static str, value: &str) -> Response {
    response.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
    response
}
