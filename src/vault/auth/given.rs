//! A token that the configuration or a file gives.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::endpoints::{look_up, renew};
use super::header;
use super::lease::{Expiry, Lease};
use crate::config::{Secret, VaultAuthConfig};
use crate::vault::caller::{CallError, Caller};
use crate::vault::failure::words;
use crate::vault::signer::StartError;

/// A token from the configuration, which is renewed as long as it can be; or from a file, which whoever writes it
/// (the Vault Agent) keeps fresh.
pub(in crate::vault) struct GivenToken {
    secret: ArcSwap<Secret>,
    file: Option<PathBuf>,
    expiry: Expiry,
    /// The operators have been told that the token expires.
    told: AtomicBool,
}

/// Before another try where Vault could not say.
const PAUSE: Duration = Duration::from_secs(1);

impl GivenToken {
    /// # Errors
    /// Where no token is configured, or one that can not be sent.
    pub(super) fn start(
        config: &VaultAuthConfig,
        caller: Arc<Caller>,
        expiry: Expiry,
        random: fn() -> f64,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let file = config.token_file.clone();
        if let (None, Some(token)) = (&file, &config.token) {
            let token = header(token).map_err(|_| StartError::Token)?;
            let expiry = expiry.clone();
            tokio::spawn(async move {
                shutdown.run_until_cancelled(keep_alive(token, &caller, &expiry, random)).await;
            });
        }
        let secret = Secret::either(config.token.clone(), file.clone());
        let secret = secret.ok_or(StartError::Auth { method: "token", keys: "`token` or `token_file`" })?;
        Ok(Self { secret: ArcSwap::from_pointee(secret), file, expiry, told: AtomicBool::new(false) })
    }

    pub(super) fn current(&self) -> Result<HeaderValue, CallError> {
        let token = self.secret.load().current().map_err(|error| CallError::Token(error.to_string()))?;
        header(&token)
    }

    /// The token after one more look, where it is another than `refused`.
    ///
    /// A change within the resolution of the file system's clock is not seen by [`Self::current`];
    /// it is seen here, because nothing that was read before is asked.
    pub(super) fn instead_of(&self, refused: &HeaderValue) -> Option<HeaderValue> {
        if let Some(file) = &self.file {
            self.secret.store(Arc::new(Secret::file(file)));
        }
        self.current().ok().filter(|token| token != refused)
    }

    /// Tells of an end that nobody seems to prevent, once for each token and each time that it was renewed late.
    pub(super) fn note(&self, lease: Lease) {
        self.expiry.show(lease);
        if !lease.is_ending() {
            self.told.store(false, Ordering::Relaxed);
        } else if !self.told.swap(true, Ordering::Relaxed) {
            warn_of_the_end(lease);
        }
    }
}

/// Renews `token` as long as Vault gives it more time by that.
async fn keep_alive(token: HeaderValue, caller: &Caller, expiry: &Expiry, random: fn() -> f64) {
    let Some(mut lease) = asked(|| look_up(caller, "lookup_self", &token)).await else { return };
    loop {
        expiry.show(lease);
        let Some(half_time) = lease.half_time(random) else { return };
        if !lease.renewable {
            warn_of_the_end(lease);
            return;
        }
        sleep(half_time).await;
        let Some(renewed) = asked(|| renew(caller, &token)).await else { return };
        // A token that had an end has none now: so it has reached its longest life, to the second.
        let renewable = renewed.renewable && renewed.left.is_some() && renewed.left >= lease.left;
        lease = Lease { renewable, ..renewed };
    }
}

/// What Vault answers, when it does; none where it does not let us ask.
async fn asked<F>(question: impl Fn() -> F) -> Option<Lease>
where
    F: Future<Output = Result<Lease, CallError>>,
{
    loop {
        match question().await {
            Ok(lease) => return Some(lease),
            Err(failure) if failure.is_our_fault() => {
                tracing::warn!(
                    reason = words(&failure),
                    "Vault does not let the token in `vault.auth.token` look itself up or renew itself: when it \
                     expires, signing ends"
                );
                return None;
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn warn_of_the_end(lease: Lease) {
    tracing::warn!(
        expires_in = ?lease.left.unwrap_or_default(),
        "the token for Vault expires, and nobody renews it: give another one, or choose a method that logs in"
    );
}
