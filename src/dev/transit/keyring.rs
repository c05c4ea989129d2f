//! All keys with their versions, in memory and, where there is a directory, on the disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::signing_key::SigningKey;
use super::store::Store;

/// The keys by name. A change is on the disk before it is in memory.
pub(super) struct Keyring {
    keys: BTreeMap<String, Key>,
    store: Option<Store>,
}

/// A named key. Versions count from 1 without gaps.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) settings: Settings,
    pub(super) versions: BTreeMap<u32, Arc<SigningKey>>,
}

/// What callers may change about a key, and when its versions were made.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Settings {
    pub(super) min_decryption_version: u32,
    /// Zero: no such minimum.
    pub(super) min_encryption_version: u32,
    pub(super) deletion_allowed: bool,
    pub(super) exportable: bool,
    pub(super) allow_plaintext_backup: bool,
    pub(super) created: BTreeMap<u32, Timestamp>,
}

/// Why a version cannot sign, in Vault's words.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum VersionError {
    #[error("requested version for signing is negative")]
    Negative,
    #[error("requested version for signing is higher than the latest key version")]
    TooHigh,
    #[error("requested version for signing is less than the minimum encryption key version")]
    BelowMinimum,
    #[error("no such key version")]
    Archived,
}

impl Keyring {
    pub(super) fn in_memory() -> Self {
        Self { keys: BTreeMap::new(), store: None }
    }

    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        let store = Store::open(directory)?;
        Ok(Self { keys: store.load()?, store: Some(store) })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Key> {
        self.keys.get(name)
    }

    /// A key with one version, in place of whatever has the name.
    pub(super) fn create(&mut self, name: &str, settings: Settings, now: Timestamp) -> io::Result<&Key> {
        let key = Key { settings, versions: BTreeMap::new() };
        self.add_version(name, key, now)
    }

    /// `None` when there is no such key.
    pub(super) fn rotate(&mut self, name: &str, now: Timestamp) -> Option<io::Result<&Key>> {
        let key = self.keys.get(name)?.clone();
        Some(self.add_version(name, key, now))
    }

    pub(super) fn configure(&mut self, name: &str, key: Key) -> io::Result<&Key> {
        if let Some(store) = &self.store {
            store.write_settings(name, &key.settings)?;
        }
        Ok(self.put(name, key))
    }

    pub(super) fn delete(&mut self, name: &str) -> io::Result<()> {
        if let Some(store) = &self.store {
            store.delete(name)?;
        }
        self.keys.remove(name);
        Ok(())
    }

    fn add_version(&mut self, name: &str, mut key: Key, now: Timestamp) -> io::Result<&Key> {
        let version = key.latest() + 1;
        let pkcs8 = SigningKey::generate_pkcs8().map_err(io::Error::other)?;
        let signing_key = SigningKey::from_pkcs8(&pkcs8).map_err(io::Error::other)?;
        key.versions.insert(version, Arc::new(signing_key));
        key.settings.created.insert(version, now);
        if let Some(store) = &self.store {
            store.write_version(name, version, &pkcs8)?;
        }
        self.configure(name, key)
    }

    fn put(&mut self, name: &str, key: Key) -> &Key {
        let entry = self.keys.entry(name.to_owned());
        entry.insert_entry(key).into_mut()
    }
}

impl Key {
    pub(super) fn latest(&self) -> u32 {
        self.versions.last_key_value().map_or(0, |(version, _)| *version)
    }

    /// The version that signs when `requested` is asked for; zero asks for the latest.
    pub(super) fn signer(&self, requested: i64) -> Result<(u32, Arc<SigningKey>), VersionError> {
        let latest = self.latest();
        let version = match requested {
            0 => latest,
            ..0 => return Err(VersionError::Negative),
            _ => u32::try_from(requested).map_err(|_| VersionError::TooHigh)?,
        };
        if version > latest {
            return Err(VersionError::TooHigh);
        }
        if version < self.settings.min_encryption_version {
            return Err(VersionError::BelowMinimum);
        }
        if version < self.settings.min_decryption_version {
            return Err(VersionError::Archived);
        }
        let signing_key = self.versions.get(&version).ok_or(VersionError::Archived)?;
        Ok((version, signing_key.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            min_decryption_version: 1,
            min_encryption_version: 0,
            deletion_allowed: false,
            exportable: false,
            allow_plaintext_backup: false,
            created: BTreeMap::new(),
        }
    }

    fn published(key: &Key) -> Vec<String> {
        key.versions.values().map(|version| version.public_key().to_owned()).collect()
    }

    #[test]
    fn a_restart_with_the_same_directory_has_the_same_keys() {
        let directory = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::open(directory.path().to_owned()).unwrap();
        keyring.create("release", settings(), Timestamp::UNIX_EPOCH).unwrap();
        let mut key = keyring.rotate("release", Timestamp::UNIX_EPOCH).unwrap().unwrap().clone();
        key.settings.min_decryption_version = 2;
        keyring.configure("release", key.clone()).unwrap();
        keyring.create("other", settings(), Timestamp::UNIX_EPOCH).unwrap();
        keyring.delete("other").unwrap();

        let reopened = Keyring::open(directory.path().to_owned()).unwrap();
        assert_eq!(reopened.names().collect::<Vec<_>>(), ["release"]);
        let found = reopened.get("release").unwrap();
        assert_eq!(published(found), published(&key));
        assert_eq!(found.settings.min_decryption_version, 2);
        assert_eq!(found.settings.created, key.settings.created);
    }

    #[test]
    fn private_keys_on_the_disk_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::open(directory.path().join("keys")).unwrap();
        keyring.create("release", settings(), Timestamp::UNIX_EPOCH).unwrap();
        for (path, mode) in [("keys", 0o700), ("keys/release", 0o700), ("keys/release/1.p8", 0o600)] {
            let found = std::fs::metadata(directory.path().join(path)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{path}");
        }
    }
}
