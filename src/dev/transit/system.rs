//! `sys/…`: health, sealing and unsealing.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::fields::Fields;
use super::{Operation, Shared};

/// The key that unseals the stand-in, one for all: sealing guards nothing here, it lets tests see what callers make of it.
pub const UNSEAL_KEY: &str = "c2lnbmV0LXN0YW5kLWluLXVuc2VhbC1rZXktMDAwMDE=";

const VERSION: &str = "1.21.2";

pub(super) fn answer(
    shared: &Shared,
    path: &str,
    method: &Method,
    operation: Operation,
    token: Option<&str>,
    fields: &Fields,
) -> Result<Response, Refusal> {
    match (path, operation) {
        ("health", Operation::Read) => Ok(health(shared)),
        ("health", Operation::Other) if *method == Method::HEAD => Ok(health(shared)),
        ("seal-status", Operation::Read) => Ok(Json(seal_status(shared)).into_response()),
        ("unseal", Operation::Update) => unseal(shared, fields),
        ("seal", Operation::Update) => seal(shared, token),
        ("health" | "seal-status" | "unseal" | "seal", _) => Err(Refusal::MethodNotAllowed),
        _ if shared.is_sealed() => Err(Refusal::Sealed),
        _ => {
            shared.tokens().authenticate(token)?;
            Err(Refusal::UnsupportedPath)
        }
    }
}

fn health(shared: &Shared) -> Response {
    let sealed = shared.is_sealed();
    let status = if sealed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let replication = if sealed { "unknown" } else { "disabled" };
    let mut body = json!({
        "initialized": true,
        "sealed": sealed,
        "standby": sealed,
        "performance_standby": false,
        "replication_performance_mode": replication,
        "replication_dr_mode": replication,
        "server_time_utc": shared.now().as_second(),
        "version": VERSION,
        "enterprise": false,
        "echo_duration_ms": 0,
        "clock_skew_ms": 0,
        "replication_primary_canary_age_ms": 0,
    });
    add_cluster(&mut body, sealed);
    (status, Json(body)).into_response()
}

fn seal_status(shared: &Shared) -> Value {
    let sealed = shared.is_sealed();
    let mut body = json!({
        "type": "shamir",
        "initialized": true,
        "sealed": sealed,
        "t": 1,
        "n": 1,
        "progress": 0,
        "nonce": "",
        "version": VERSION,
        "build_date": "2026-01-01T00:00:00Z",
        "migration": false,
        "recovery_seal": false,
        "storage_type": "inmem",
    });
    add_cluster(&mut body, sealed);
    body
}

/// A sealed server does not know its cluster.
fn add_cluster(body: &mut Value, sealed: bool) {
    if !sealed {
        body["cluster_name"] = json!("signet-dev");
        body["cluster_id"] = json!("00000000-0000-0000-0000-000000000000");
    }
}

/// Sealing again what is sealed is no fault, and then no token can be looked at.
fn seal(shared: &Shared, token: Option<&str>) -> Result<Response, Refusal> {
    if !shared.is_sealed() {
        shared.tokens().authenticate(token)?.require_rights()?;
        shared.sealed.store(true, Ordering::SeqCst);
    }
    Ok(Answer::Nothing.into_response())
}

fn unseal(shared: &Shared, fields: &Fields) -> Result<Response, Refusal> {
    match fields.text("key")?.as_deref() {
        None | Some("") => Err(Refusal::Invalid(
            "'key' must be specified in request body as JSON, or 'reset' set to true".to_owned(),
        )),
        Some(UNSEAL_KEY) => {
            shared.sealed.store(false, Ordering::SeqCst);
            Ok(Json(seal_status(shared)).into_response())
        }
        Some(_) => Err(Refusal::Invalid("this is not the stand-in's unseal key".to_owned())),
    }
}
