//! Wires the rooms together, listens, and ends in good order.

mod accept_anchor;
mod check;
mod connection;
mod crowd;
mod listener;
mod signals;
mod telemetry;
mod tls;
mod watch;
mod wiring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::domain::{Clock as _, SystemClock};
use crate::http::{AdminState, Admission, ApiState, admin_router, forget_what_is_old, router};
use crate::log::{GroupCommitLog, LogChronicle};
use crate::policy::PolicyError;

pub use accept_anchor::{AcceptError, Accepted, accept_anchor};
pub use check::{CheckLogError, CheckedLog, check_log};
pub use connection::Encryption;
pub use listener::{Listener, Manner, bind};
pub use signals::{exit_on_second_signal, termination};
pub use telemetry::start as start_telemetry;
pub use tls::{Certificates, Door, TlsError};

/// A running Signet.
pub struct Server {
    api: Listener,
    admin: Listener,
    admission: Admission,
    log: Arc<GroupCommitLog>,
    /// How long a request may take, from its head to its answer.
    patience: Duration,
    /// Who empties the outbox.
    deliveries: JoinHandle<()>,
    /// Who logs the refusals and readings that were counted.
    repeats: JoinHandle<()>,
    /// Who tells the log that the service starts and stops.
    chronicle: Arc<LogChronicle>,
    /// Cancelled when draining begins: readiness ends, and nothing more is taken out of the outbox.
    draining: CancellationToken,
    /// Cancelled when nothing is in flight any more: background work ends.
    stopped: CancellationToken,
}

/// Signet can not start. Each names the setting that is to be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("policy.file: {0}")]
    Policy(#[from] PolicyError),
    #[error("{setting}: can not listen on {address}: {reason}")]
    Listen { setting: &'static str, address: SocketAddr, reason: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("[vault]: {0}")]
    Vault(String),
    #[error("[[registries]]: {0}")]
    Registries(String),
    #[error("[[identity.issuers]]: {0}")]
    Issuers(String),
    #[error("[audit.login]: {0}")]
    Login(String),
    #[error("[log]: {0}")]
    Log(String),
}

impl Server {
    /// Starts listening. Vault and the registries need not be there yet: requests are refused with `Retry-After` until they are.
    ///
    /// # Errors
    /// What the operator has to mend first.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        install_crypto();
        let tls = certificates(&config)?;
        let api = listener::bind("http.listen", config.http.listen)?;
        let admin = listener::bind("http.admin_listen", config.http.admin_listen)?;
        let (draining, stopped) = (CancellationToken::new(), CancellationToken::new());
        let parts = wiring::build(&config, &stopped)?;
        // Deliveries end with the draining, so that no signature is put back by somebody who is about to go.
        let service = parts.api.service.clone();
        let deliveries = tokio::spawn(service.deliver_until(draining.clone()));
        let (answers, clock) = (parts.api.idempotency.clone(), parts.api.clock.clone());
        let (quotas, sessions) = (parts.log.clone(), parts.log.clone());
        tokio::spawn(forget_what_is_old(
            answers,
            quotas,
            sessions,
            config.audit.idle_timeout,
            clock,
            stopped.clone(),
        ));
        let (service, until) = (parts.api.service.clone(), stopped.clone());
        let repeats = tokio::spawn(async move { service.log_repeats_until(until).await });
        let admission = parts.api.admission.clone();
        let admin_state = AdminState {
            signer: parts.api.service.signer.clone(),
            log: parts.log.clone(),
            search: parts.log.clone(),
            policy: parts.api.service.policy.clone(),
            metrics: parts.api.metrics.clone(),
            draining: draining.clone(),
        };
        let public_url = config.http.public_url.as_ref().map(url::Url::as_str);
        let [api_tls, admin_tls] = encryption(tls, &config, &parts.api, &stopped);
        let (tls, manner) = (api_tls.is_some(), Manner::from(&config.http));
        let api = Listener::serve(api, router(parts.api, public_url), manner, api_tls);
        let admin = Listener::serve(admin, admin_router(admin_state), manner, admin_tls);
        tracing::info!(api = %api.address, admin = %admin.address, tls, "listening");
        // Once for the body to arrive, once for the answer to be made.
        let patience = 2 * config.limits.request_timeout;
        Ok(Self {
            api,
            admin,
            admission,
            log: parts.log,
            patience,
            deliveries,
            repeats,
            chronicle: parts.chronicle,
            draining,
            stopped,
        })
    }

    /// Where the API listens; with the port that the system chose where the configuration says 0.
    pub const fn api_address(&self) -> SocketAddr {
        self.api.address
    }

    /// Where health and metrics are.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin.address
    }

    /// Ends in good order: accepts no more, finishes what is in flight, also what has lost its
    /// caller, then tidies up.
    pub async fn drain(self) {
        tracing::info!("draining");
        self.draining.cancel();
        self.api.drain(self.patience).await;
        self.admission.drained().await;
        if self.deliveries.await.is_err() {
            tracing::error!("the outbox was not emptied to its end; the next start goes on with it");
        }
        self.stopped.cancel();
        if self.repeats.await.is_err() {
            tracing::error!("the refusals were not logged to their end");
        }
        self.chronicle.end().await;
        if let Err(error) = self.log.close().await {
            tracing::error!(%error, "the log could not be tidied up; what was answered is in it");
        }
        self.admin.drain(self.patience).await;
        tracing::info!("stopped");
    }
}

/// What `config` names for its listeners, valid now; none where they do without TLS.
///
/// # Errors
/// Where a file can not be used.
pub fn certificates(config: &Config) -> Result<Option<Certificates>, TlsError> {
    config.http.tls.clone().map(|files| Certificates::load(files, SystemClock.now())).transpose()
}

/// TLS for the API and for the admin listener, with files that are looked at until `stopped`.
fn encryption(
    certificates: Option<Certificates>,
    config: &Config,
    api: &ApiState,
    stopped: &CancellationToken,
) -> [Option<Encryption>; 2] {
    let Some(certificates) = certificates.map(Arc::new) else { return [None, None] };
    let (clock, metrics) = (api.clock.clone(), api.metrics.clone());
    tokio::spawn(certificates.clone().reload_until(clock, metrics.clone(), stopped.clone()));
    let through = |door| Encryption { certificates: certificates.clone(), door, metrics: metrics.clone() };
    [Some(through(Door::Api)), config.http.admin_tls().map(|_| through(Door::Admin))]
}

/// Has all of TLS use one implementation. Twice does no harm.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
