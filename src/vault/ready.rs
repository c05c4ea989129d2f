//! Whether a call would be let in.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::auth::LookUpSelf;
use super::client::Client;
use super::failure::explain;
use crate::ports::SignerError;

/// Asks Vault about our token, at most once a second however many ask here.
#[derive(Default)]
pub(super) struct Readiness {
    last: Mutex<Option<(Instant, Result<(), SignerError>)>>,
}

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(1);

impl Readiness {
    pub(super) async fn check(&self, client: &Client) -> Result<(), SignerError> {
        // Held while Vault is asked, so that those who wait share the answer.
        let mut last = self.last.lock().await;
        if let Some((when, result)) = &*last
            && when.elapsed() < FRESH
        {
            return result.clone();
        }
        let result = match client.call_now("lookup_self", LookUpSelf {}).await {
            Ok(reply) => {
                client.note(reply.data.lease());
                Ok(())
            }
            Err(failure) => Err(explain(client, failure).await),
        };
        *last = Some((Instant::now(), result.clone()));
        result
    }
}
