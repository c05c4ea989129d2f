use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::anchor::VaultAnchor;
use super::auth::{Expiry, Tokens};
use super::batch::Batches;
use super::caller::Caller;
use super::client::Client;
use super::group::GroupSigner;
use super::keys::{self, TransitKey};
use super::notes::TransitNotes;
use super::ready::Readiness;
use crate::authorities::UnusableAuthorities;
use crate::config::{KeyConfig, LogConfig, VaultConfig};
use crate::domain::{Clock, HashAlgorithm, IdSource, Key, KeyName, SigningInput};
use crate::metrics::Metrics;
use crate::ports::{KeyArchive, Signed, Signer, SignerError, SigningLog, SigningTask};

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
    #[error("{setting}: {reason}")]
    Address { setting: &'static str, reason: &'static str },
    #[error("vault.namespace: a header can not carry it")]
    Namespace,
    #[error("vault.ca_file: {0}")]
    CaFile(#[from] UnusableAuthorities),
    #[error("vault.auth: the method {method} needs {keys}")]
    Auth { method: &'static str, keys: &'static str },
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
    /// Makes the signer and begins to log in and to follow the keys, until `shutdown`. Waits for nobody:
    /// whether Vault answers, and whether it has let us in yet, shows in [`Signer::ready`].
    ///
    /// Every version that Vault publishes is kept in `archive`, and those that it publishes no more are taken from
    /// there. That the archive fails stops nothing.
    ///
    /// Runs inside a tokio runtime, and after the process's rustls provider is installed.
    /// Groups that are under way at `shutdown` are not cut off.
    ///
    /// # Errors
    /// Where the configuration can not work; the error names the setting or the file.
    #[expect(clippy::too_many_arguments, reason = "each is another port, and wiring is the one caller")]
    pub fn start(
        config: &VaultConfig,
        keys: &[KeyConfig],
        log: Arc<dyn SigningLog>,
        archive: Arc<dyn KeyArchive>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, StartError> {
        for key in keys {
            if let Some(hash @ (HashAlgorithm::Sha384 | HashAlgorithm::Sha512)) = key.hash {
                tracing::warn!(key = %key.name, %hash, "verifiers expect sha2-256, and need a flag for this key");
            }
        }
        let keys = keys::configured(config, keys, &archive)?;
        let caller = Arc::new(Caller::new(config, Arc::clone(&metrics))?);
        let expiry = Expiry { metrics: Arc::clone(&metrics), clock: Arc::clone(&clock) };
        let tokens = Tokens::start(&config.auth, &caller, expiry, rand::random, shutdown.clone())?;
        let client = Arc::new(Client::new(caller, tokens, config.request_timeout));

        for key in keys.values() {
            keys::follow(Arc::clone(key), Arc::clone(&client), config.key_poll, shutdown.clone());
        }
        let groups =
            GroupSigner { client: Arc::clone(&client), log, clock, ids, metrics: Arc::clone(&metrics) };
        let batches = Arc::new(Batches::new(config, groups, metrics));
        Ok(Arc::new(Self { client, keys, batches, readiness: Readiness::default() }))
    }

    /// The holder of the log's own key, which is named `origin` in notes. Begins to follow that key, until `shutdown`.
    ///
    /// # Errors
    /// Where the configuration can not work.
    pub fn notes(
        &self,
        (vault, log): (&VaultConfig, &LogConfig),
        origin: &str,
        archive: Arc<dyn KeyArchive>,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Result<Arc<TransitNotes>, StartError> {
        let (client, key) = (Arc::clone(&self.client), keys::of_log(vault, log, &archive)?);
        keys::follow(Arc::clone(&key), Arc::clone(&client), vault.key_poll, shutdown);
        Ok(Arc::new(TransitNotes {
            client,
            key,
            archive,
            clock,
            origin: origin.to_owned(),
            overlap: log.checkpoint_overlap,
            alone: AtomicBool::new(false),
        }))
    }

    /// A place for the log's newest checkpoint in the KV engine at `mount`, with the same login.
    pub fn anchor(&self, mount: &str, path: String) -> VaultAnchor {
        VaultAnchor { client: Arc::clone(&self.client), mount: mount.to_owned(), path }
    }

    /// The key that signs `task`.
    ///
    /// # Errors
    /// Where no call could succeed.
    fn accept(&self, task: &SigningTask) -> Result<Arc<TransitKey>, SignerError> {
        let key = self.configured(&task.key)?;
        match &task.input {
            SigningInput::Message(message) if message.len() > SigningInput::MAX_MESSAGE => {
                Err(SignerError::MessageTooLarge { key: task.key.clone(), bytes: message.len() })
            }
            _ => Ok(Arc::clone(key)),
        }
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
        self.configured(name)?.read_for_caller(&self.client).await
    }

    async fn sign_all(&self, tasks: Vec<SigningTask>) -> Vec<Result<Signed, SignerError>> {
        let mut results: Vec<Option<Result<Signed, SignerError>>> = Vec::with_capacity(tasks.len());
        let mut possible = Vec::with_capacity(tasks.len());
        for task in tasks {
            match self.accept(&task) {
                Ok(key) => {
                    possible.push((key, task));
                    results.push(None);
                }
                Err(error) => results.push(Some(Err(error))),
            }
        }
        let mut signed = self.batches.sign_all(possible).await.into_iter();
        let result = |refused: Option<_>| refused.or_else(|| signed.next());
        let results = results.into_iter().map(result);
        results.map(|result| result.expect("invariant: each task that was accepted has a result")).collect()
    }

    async fn ready(&self) -> Result<(), SignerError> {
        self.readiness.check(&self.client).await
    }
}
