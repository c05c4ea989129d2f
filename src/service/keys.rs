//! Which keys there are. Public keys are public.

use std::sync::Arc;

use crate::domain::{Key, KeyName, KeyReference, KeyVersion, PublicKey};
use crate::ports::SignerError;

use super::{Service, ServiceError};

impl Service {
    /// All configured keys, but for those that Vault never had.
    ///
    /// # Errors
    /// Where one of them was never read from Vault, and can not be read now.
    pub async fn keys(&self) -> Result<Vec<Arc<Key>>, ServiceError> {
        let names = self.signer.names();
        let read = async |name| match self.signer.key(name).await {
            Err(SignerError::NoSuchKey(_)) => Ok(None),
            key => key.map(Some),
        };
        let keys = futures::future::try_join_all(names.iter().map(read)).await?;
        Ok(keys.into_iter().flatten().collect())
    }

    /// # Errors
    /// Where no such key is configured, or it can not be read.
    pub async fn key(&self, name: &KeyName) -> Result<Arc<Key>, ServiceError> {
        Ok(self.signer.key(name).await?)
    }

    /// The public key of one version, also of one that signs no more.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn public_key(&self, name: &KeyName, version: KeyVersion) -> Result<PublicKey, ServiceError> {
        // From what is known, which is seconds old at most: anybody may ask this, and nobody may wear Vault out with it.
        let key = self.signer.key(name).await?;
        match key.versions.get(&version) {
            Some(published) => Ok(published.public_key.clone()),
            None => Err(ServiceError::KeyVersionUnavailable { key: name.clone(), version, usable: None }),
        }
    }

    /// The public key that `reference` names, also of a key that was deleted and made anew; none where nobody knows it now.
    pub async fn public_key_of(&self, reference: &KeyReference) -> Option<PublicKey> {
        let key = self.signer.key(&reference.name).await.ok()?;
        let former = key.former.iter().map(|(_, published)| published);
        let mut known = key.versions.values().chain(former);
        let published =
            known.find(|published| published.public_key.fingerprint() == reference.fingerprint)?;
        Some(published.public_key.clone())
    }

    /// The public keys of all versions, newest first, but for those of a key that was deleted before this one was made.
    ///
    /// # Errors
    /// Where there is no such key, or it is of a type without public keys.
    pub async fn public_keys(&self, name: &KeyName) -> Result<Vec<PublicKey>, ServiceError> {
        let key = self.key(name).await?;
        if key.versions.is_empty() {
            let key_type = key.key_type.clone();
            return Err(ServiceError::KeyTypeUnsupported { key: name.clone(), key_type });
        }
        Ok(key.versions.values().rev().map(|published| published.public_key.clone()).collect())
    }

    /// The key to sign with. A version above the latest that is known may have been made a moment ago: then Vault is
    /// asked.
    ///
    /// # Errors
    /// Where no such key is configured, or Vault has it no more, or it can not be read.
    pub(super) async fn signing_key(
        &self,
        name: &KeyName,
        version: Option<KeyVersion>,
    ) -> Result<Arc<Key>, ServiceError> {
        let mut key = self.signer.key(name).await?;
        if version.is_some_and(|version| version > key.latest) {
            key = self.signer.key_anew(name).await?;
        }
        match key.in_vault {
            true => Ok(key),
            false => Err(SignerError::NoSuchKey(name.clone()).into()),
        }
    }
}
