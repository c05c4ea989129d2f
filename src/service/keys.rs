//! Which keys there are. Public keys are public.

use std::sync::Arc;

use crate::domain::{Key, KeyName, KeyVersion, PublicKey};

use super::{Service, ServiceError};

impl Service {
    /// All configured keys.
    ///
    /// # Errors
    /// Where one of them was never read from Vault, and can not be read now.
    pub async fn keys(&self) -> Result<Vec<Arc<Key>>, ServiceError> {
        let names = self.signer.names();
        Ok(futures::future::try_join_all(names.iter().map(|name| self.signer.key(name))).await?)
    }

    /// # Errors
    /// Where no such key is configured, or it can not be read.
    pub async fn key(&self, name: &KeyName) -> Result<Arc<Key>, ServiceError> {
        Ok(self.signer.key(name).await?)
    }

    /// The public key of one version, also of one that signs no more, as long as Vault publishes it.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn public_key(&self, name: &KeyName, version: KeyVersion) -> Result<PublicKey, ServiceError> {
        let key = self.key(name).await?;
        match key.versions.get(&version) {
            Some(published) => Ok(published.public_key.clone()),
            None => Err(ServiceError::KeyVersionUnavailable { key: name.clone(), version, usable: None }),
        }
    }
}
