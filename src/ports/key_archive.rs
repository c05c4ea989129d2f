use async_trait::async_trait;

use super::LogError;
use crate::domain::{KeyName, KeyVersion, PublicKey, Timestamp};

/// A version of a key that Vault has published at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedVersion {
    pub key: KeyName,
    pub version: KeyVersion,
    pub public_key: PublicKey,
    /// As Vault said.
    pub created_at: Timestamp,
}

/// Public keys outlive what Vault publishes: a version that was archived or trimmed there signs no more, and
/// what it signed is still to be verified.
#[async_trait]
pub trait KeyArchive: Send + Sync {
    /// Keeps `versions`. Those that are kept already stay as they are; the same version with another public key,
    /// because the key was deleted and made anew, is kept beside the first.
    async fn keep(&self, versions: Vec<ArchivedVersion>) -> Result<(), LogError>;

    /// Everything that is kept of `key`: by version, and of one version the newest last.
    async fn versions(&self, key: &KeyName) -> Result<Vec<ArchivedVersion>, LogError>;
}
