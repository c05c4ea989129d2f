//! Registries, over the OCI distribution specification: [`OciRegistries`].
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>
//!
//! A call goes through these files, outermost first: what is asked (`manifest`, `blob`, `upload`,
//! `referrers`, and `attach` and `push`, which combine them), how often (`retry`), who is asking
//! (`auth`), the call itself (`transport`), and what its answer means (`answer`).

mod answer;
mod attach;
mod auth;
mod blob;
mod client;
mod credentials;
mod empty;
mod failure;
mod index;
mod location;
mod manifest;
mod push;
mod realm;
mod referrers;
mod retry;
mod support;
#[cfg(test)]
mod tests;
mod tokens;
mod transport;
mod upload;
mod written;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use self::client::Client;
use self::retry::Pauses;
use crate::config::RegistryConfig;
use crate::domain::{Descriptor, Digest, ImageReference, Repository};
use crate::metrics::Metrics;
use crate::ports::{
    Manifest, ManifestUpdate, Referrer, Registry, RegistryError, RegistryReply, RegistrySettings,
};

/// The registries of the configuration, each with its own connections, credentials and authorities.
///
/// A call to a registry takes at most its `request_timeout`, and the attempts at it together less
/// than two of them. Manifests have at most 4 MiB. Credentials go to the registry itself, and to the
/// token services that the configuration allows, and nowhere else.
#[derive(Debug)]
pub struct OciRegistries {
    clients: HashMap<String, Client>,
}

/// A registry's section of the configuration can not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("registry `{host}`: {reason}")]
pub struct RegistrySetupError {
    pub host: String,
    /// Names the setting or the file that is wrong, and no secret.
    pub reason: String,
}

impl OciRegistries {
    /// Reads the files that `configs` name; no registry is contacted.
    ///
    /// # Errors
    /// Where one can not be used, or two have the same host. Also where no TLS provider was
    /// installed for the process before.
    pub fn new(configs: &[RegistryConfig], metrics: Arc<Metrics>) -> Result<Self, RegistrySetupError> {
        Self::with_pauses(configs, metrics, Pauses::DEFAULT)
    }

    fn with_pauses(
        configs: &[RegistryConfig],
        metrics: Arc<Metrics>,
        pauses: Pauses,
    ) -> Result<Self, RegistrySetupError> {
        let mut clients = HashMap::new();
        for config in configs {
            let problem = |reason| RegistrySetupError { host: config.host.clone(), reason };
            let client = Client::new(config, metrics.clone(), pauses).map_err(problem)?;
            if clients.insert(config.host.clone(), client).is_some() {
                return Err(problem("two sections have this host".to_owned()));
            }
        }
        Ok(Self { clients })
    }

    fn client(&self, repository: &Repository) -> Result<&Client, RegistryError> {
        let host = repository.host();
        self.clients.get(host).ok_or_else(|| RegistryError::NotConfigured(host.to_owned()))
    }
}

#[async_trait]
impl Registry for OciRegistries {
    fn settings(&self, host: &str) -> Option<RegistrySettings> {
        self.clients.get(host).map(|client| client.settings)
    }

    async fn resolve(&self, image: &ImageReference) -> RegistryReply<Descriptor> {
        self.client(&image.repository)?.resolve(image.repository.path(), image.digest).await
    }

    async fn tagged(&self, repository: &Repository, tag: &str) -> RegistryReply<Manifest> {
        self.client(repository)?.tagged(repository.path(), tag).await
    }

    async fn manifest(&self, repository: &Repository, digest: Digest) -> RegistryReply<Manifest> {
        self.client(repository)?.manifest(repository.path(), digest).await
    }

    async fn blob(&self, repository: &Repository, digest: Digest, limit: u64) -> RegistryReply<Vec<u8>> {
        self.client(repository)?.blob(repository.path(), digest, limit).await
    }

    async fn referrers(&self, image: &ImageReference) -> Result<Vec<Descriptor>, RegistryError> {
        self.client(&image.repository)?.referrers(image.repository.path(), image.digest).await
    }

    async fn update_tag(
        &self,
        repository: &Repository,
        tag: &str,
        known: Option<Manifest>,
        update: &dyn ManifestUpdate,
    ) -> Result<Digest, RegistryError> {
        // What was there a moment ago may have been added to since, and must not be written over.
        let absent = known.is_none();
        self.client(repository)?.update_tag(repository.path(), tag, absent, update).await
    }

    async fn push_referrer(
        &self,
        image: &ImageReference,
        referrer: Referrer,
        known: &[Descriptor],
    ) -> Result<(), RegistryError> {
        let client = self.client(&image.repository)?;
        client.push_referrer(image.repository.path(), image.digest, referrer, known.is_empty()).await
    }
}
