//! The admin listener: health, metrics, and work that operators ask for. Nothing on it needs credentials.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use crate::metrics::Metrics;
use crate::ports::{LogSearch, Policy, Signer, SigningLog};

#[derive(Clone)]
pub struct AdminState {
    pub signer: Arc<dyn Signer>,
    pub log: Arc<dyn SigningLog>,
    pub search: Arc<dyn LogSearch>,
    pub policy: Arc<dyn Policy>,
    pub metrics: Arc<Metrics>,
    /// Set while the service drains: it answers, and wants no more.
    pub draining: tokio_util::sync::CancellationToken,
}

/// `/livez` never touches Vault; `/readyz` says what is missing; `/metrics` is OpenMetrics. `POST
/// /log/reindex` has the log's search index made again; until that is done, the one that is there answers.
pub fn router(state: AdminState) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/log/reindex", post(reindex))
        .with_state(state)
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    checks: Checks,
    policy: PolicyInForce,
}

/// `ok`, or what is wrong.
#[derive(Serialize)]
struct Checks {
    vault: String,
    log: String,
    /// Why a newer policy is not in force. The one before is, and so this keeps nobody from being served.
    policy: String,
    draining: bool,
}

#[derive(Serialize)]
struct PolicyInForce {
    /// SHA-256 of the file.
    digest: String,
    rules: usize,
}

async fn ready(State(state): State<AdminState>) -> impl IntoResponse {
    let (vault, log) = tokio::join!(state.signer.ready(), state.log.ready());
    let draining = state.draining.is_cancelled();
    let ready = vault.is_ok() && log.is_ok() && !draining;
    let policy = state.policy.state();
    let refused = policy.refused.map_or(Ok(()), Err);
    let checks = Checks { vault: words(vault), log: words(log), policy: words(refused), draining };
    let policy = PolicyInForce { digest: policy.digest.to_string(), rules: policy.rules };
    let (code, status) = match ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (code, Json(Readiness { status, checks, policy }))
}

async fn reindex(State(state): State<AdminState>) -> impl IntoResponse {
    state.search.rebuild();
    (
        StatusCode::ACCEPTED,
        "The search index is made again. `signet_log_index_entries` at `/metrics` grows meanwhile.\n",
    )
}

async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, OPEN_METRICS)], state.metrics.encode())
}

fn words<E: std::fmt::Display>(result: Result<(), E>) -> String {
    result.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
}
