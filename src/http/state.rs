//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use tokio::sync::Semaphore;

use super::log::tiles::PublicTiles;
use super::{Admission, AuditParts};
use crate::domain::{Clock, IdSource};
use crate::metrics::Metrics;
use crate::ports::{Authenticator, Idempotency, NoteSigner};
use crate::service::{Quiet, Service};

/// Cloned several times for each request, which copies one pointer.
#[derive(Clone)]
pub struct ApiState(Arc<ApiParts>);

pub struct ApiParts {
    pub service: Arc<Service>,
    pub authenticator: Arc<dyn Authenticator>,
    pub admission: Admission,
    pub metrics: Arc<Metrics>,
    pub idempotency: Arc<dyn Idempotency>,
    pub notes: Arc<dyn NoteSigner>,
    pub tiles: Arc<PublicTiles>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    /// Lines about callers that are nobody.
    pub unauthenticated: Arc<Quiet>,
    /// Lines about requests that were refused, whoever asked.
    pub turned_away: Arc<Quiet>,
    /// Exports that may be under way at once.
    pub exports: Arc<Semaphore>,
    /// The auditor's pages; none where there are none.
    pub audit: Option<Arc<AuditParts>>,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// For the body to arrive, and once more for the answer to be made.
    pub request_timeout: Duration,
    /// Items of one batch.
    pub batch_items: usize,
}

impl From<ApiParts> for ApiState {
    fn from(parts: ApiParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0
    }
}

impl FromRef<ApiState> for Arc<Service> {
    fn from_ref(state: &ApiState) -> Self {
        state.service.clone()
    }
}
