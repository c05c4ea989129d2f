use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::auth::TokenSource;
use super::batch::Batches;
use super::client::Client;
use super::group::GroupSigner;
use super::keys::{self, TransitKey};
use super::ready::Readiness;
use super::transport::Transport;
use crate::config::{KeyConfig, VaultConfig};
use crate::domain::{Clock, IdSource, Key, KeyName};
use crate::metrics::Metrics;
use crate::ports::{Signed, Signer, SignerError, SigningLog, SigningTask};

/// Signs with the keys of one Vault's transit engines
/// (<https://developer.hashicorp.com/vault/api-docs/secret/transit>).
///
/// A signature waits for nothing but a free call: see `batch`. What Vault publishes of a key
/// follows Vault by polling, and outlives Vault's absence.
pub struct TransitSigner {
    client: Arc<Client>,
    pub(super) keys: BTreeMap<KeyName, Arc<TransitKey>>,
    pub(super) batches: Arc<Batches>,
    readiness: Readiness,
}

/// A setting with which no call could ever succeed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("vault.address: {0}")]
    Address(&'static str),
    #[error("vault.namespace: a header can not carry it")]
    Namespace,
    #[error("vault.ca_file: {path}: {reason}")]
    CaFile { path: String, reason: String },
    #[error("vault.auth: give `token` or `token_file`")]
    NoToken,
    #[error("vault.auth.token: it is empty, or a header can not carry it")]
    Token,
    #[error("{setting}: `{mount}` is no path of an engine; write it as `transit` or `team/transit`")]
    Mount { setting: String, mount: String },
    #[error("keys: the name `{0}` is given twice")]
    DuplicateKey(KeyName),
    #[error("the HTTP client for Vault can not be made: {0}")]
    Http(#[from] reqwest::Error),
}

impl TransitSigner {
    /// Makes the signer and begins to follow the keys, until `shutdown`. Waits for nobody: whether
    /// Vault answers, and whether the token's file is there yet, shows in [`Signer::ready`].
    ///
    /// Runs inside a tokio runtime, and after the process's rustls provider is installed.
    /// Groups that are under way at `shutdown` are not cut off.
    ///
    /// # Errors
    /// Where the configuration can not work; the error names the setting or the file.
    pub fn start(
        config: &VaultConfig,
        keys: &[KeyConfig],
        log: Arc<dyn SigningLog>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, StartError> {
        let keys = keys::configured(config, keys)?;
        let tokens = TokenSource::new(&config.auth)?;
        let transport = Transport::new(config)?;
        let client = Arc::new(Client::new(config, transport, tokens, Arc::clone(&metrics))?);

        for key in keys.values() {
            keys::follow(Arc::clone(key), Arc::clone(&client), config.key_poll, shutdown.clone());
        }
        let groups =
            GroupSigner { client: Arc::clone(&client), log, clock, ids, metrics: Arc::clone(&metrics) };
        let batches = Arc::new(Batches::new(&config.batch, groups, metrics));
        Ok(Arc::new(Self { client, keys, batches, readiness: Readiness::default() }))
    }

    fn configured(&self, name: &KeyName) -> Result<&Arc<TransitKey>, SignerError> {
        self.keys.get(name).ok_or_else(|| SignerError::UnknownKey(name.clone()))
    }
}

#[async_trait]
impl Signer for TransitSigner {
    fn names(&self) -> Vec<KeyName> {
        self.keys.keys().cloned().collect()
    }

    async fn key(&self, name: &KeyName) -> Result<Arc<Key>, SignerError> {
        self.configured(name)?.known(&self.client).await
    }

    async fn key_anew(&self, name: &KeyName) -> Result<Arc<Key>, SignerError> {
        self.configured(name)?.read_anew(&self.client).await
    }

    async fn sign_all(&self, tasks: Vec<SigningTask>) -> Vec<Result<Signed, SignerError>> {
        let sign = |task: SigningTask| async move {
            let key = self.configured(&task.key)?;
            self.batches.sign(key, task).await
        };
        futures::future::join_all(tasks.into_iter().map(sign)).await
    }

    async fn ready(&self) -> Result<(), SignerError> {
        self.readiness.check(&self.client).await
    }
}
