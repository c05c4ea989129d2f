//! All keys with their versions, in memory and, where there is a directory, on the disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::signing_key::{Generated, SigningKey};
use super::store::Store;
use crate::domain::KeyType;

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
    /// What Vault calls it. Keys of before there was more than one type do not say.
    #[serde(default = "Settings::first_type")]
    pub(super) key_type: String,
    pub(super) min_decryption_version: u32,
    /// Zero: no such minimum.
    pub(super) min_encryption_version: u32,
    /// Versions below were trimmed. Zero: none were.
    #[serde(default)]
    pub(super) min_available_version: u32,
    /// Seconds; zero for never. It is kept, and nothing is rotated.
    #[serde(default)]
    pub(super) auto_rotate_period: u64,
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
    pub(super) fn create(
        &mut self,
        name: &str,
        settings: Settings,
        first: Generated,
        now: Timestamp,
    ) -> io::Result<&Key> {
        let key = Key { settings, versions: BTreeMap::new() };
        self.add_version(name, key, first, now)
    }

    /// `None` when there is no such key of the type that `next` is of.
    pub(super) fn rotate(
        &mut self,
        name: &str,
        key_type: &KeyType,
        next: Generated,
        now: Timestamp,
    ) -> Option<io::Result<&Key>> {
        let key = self.keys.get(name).filter(|key| key.key_type() == *key_type)?.clone();
        Some(self.add_version(name, key, next, now))
    }

    /// Takes the versions below `first` away for good. `None` when there is no such key.
    pub(super) fn trim(&mut self, name: &str, first: u32) -> Option<io::Result<&Key>> {
        let mut key = self.keys.get(name)?.clone();
        let kept = key.versions.split_off(&first);
        let trimmed = std::mem::replace(&mut key.versions, kept);
        key.settings.min_available_version = first;
        for version in trimmed.keys() {
            key.settings.created.remove(version);
        }
        // The settings no longer speak of what is deleted then.
        if let Some(store) = &self.store {
            let changed = store.write_settings(name, &key.settings);
            let changed = changed
                .and_then(|()| trimmed.keys().try_for_each(|version| store.delete_version(name, *version)));
            if let Err(error) = changed {
                return Some(Err(error));
            }
        }
        Some(Ok(self.put(name, key)))
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

    fn add_version(&mut self, name: &str, mut key: Key, new: Generated, now: Timestamp) -> io::Result<&Key> {
        let version = key.latest() + 1;
        key.versions.insert(version, Arc::new(new.key));
        key.settings.created.insert(version, now);
        if let Some(store) = &self.store {
            store.write_version(name, version, &new.pkcs8)?;
        }
        self.configure(name, key)
    }

    fn put(&mut self, name: &str, key: Key) -> &Key {
        let entry = self.keys.entry(name.to_owned());
        entry.insert_entry(key).into_mut()
    }
}

impl Settings {
    /// Of a new key.
    pub(super) fn new(key_type: &KeyType) -> Self {
        Self {
            key_type: key_type.to_string(),
            min_decryption_version: 1,
            min_encryption_version: 0,
            min_available_version: 0,
            auto_rotate_period: 0,
            deletion_allowed: false,
            exportable: false,
            allow_plaintext_backup: false,
            created: BTreeMap::new(),
        }
    }

    fn first_type() -> String {
        KeyType::EcdsaP256.to_string()
    }
}

impl Key {
    pub(super) fn key_type(&self) -> KeyType {
        KeyType::from(self.settings.key_type.as_str())
    }

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

    fn generated(key_type: &KeyType) -> Generated {
        SigningKey::generate(key_type).unwrap()
    }

    fn published(key: &Key) -> Vec<String> {
        key.versions.values().map(|version| version.public_key().to_owned()).collect()
    }

    #[test]
    fn a_restart_with_the_same_directory_has_the_same_keys() {
        let directory = tempfile::tempdir().unwrap();
        for key_type in KeyType::SUPPORTED {
            let mut keyring = Keyring::open(directory.path().to_owned()).unwrap();
            let now = Timestamp::UNIX_EPOCH;
            let name = key_type.to_string();
            keyring.create(&name, Settings::new(&key_type), generated(&key_type), now).unwrap();
            let mut key =
                keyring.rotate(&name, &key_type, generated(&key_type), now).unwrap().unwrap().clone();
            key.settings.min_decryption_version = 2;
            keyring.configure(&name, key.clone()).unwrap();
            keyring.create("other", Settings::new(&key_type), generated(&key_type), now).unwrap();
            keyring.delete("other").unwrap();

            let reopened = Keyring::open(directory.path().to_owned()).unwrap();
            assert!(reopened.names().all(|name| name != "other"));
            let found = reopened.get(&name).unwrap();
            assert_eq!(found.key_type(), key_type);
            assert_eq!(published(found), published(&key));
            assert_eq!(found.settings.min_decryption_version, 2);
            assert_eq!(found.settings.created, key.settings.created);
        }
    }

    #[test]
    fn what_was_trimmed_is_gone_from_the_disk_too() {
        let directory = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::open(directory.path().to_owned()).unwrap();
        let (p256, now) = (KeyType::EcdsaP256, Timestamp::UNIX_EPOCH);
        keyring.create("release", Settings::new(&p256), generated(&p256), now).unwrap();
        keyring.rotate("release", &p256, generated(&p256), now).unwrap().unwrap();
        keyring.trim("release", 2).unwrap().unwrap();
        assert!(!directory.path().join("release/1.p8").exists());
        let reopened = Keyring::open(directory.path().to_owned()).unwrap();
        assert_eq!(reopened.get("release").unwrap().versions.keys().collect::<Vec<_>>(), [&2]);
    }

    #[test]
    fn a_key_of_before_there_were_types_is_of_the_first_one() {
        let mut settings = serde_json::to_value(Settings::new(&KeyType::Ed25519)).unwrap();
        settings.as_object_mut().unwrap().retain(|name, _| {
            !["key_type", "min_available_version", "auto_rotate_period"].contains(&name.as_str())
        });
        assert_eq!(serde_json::from_value::<Settings>(settings).unwrap().key_type, "ecdsa-p256");
    }

    #[test]
    fn private_keys_on_the_disk_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::open(directory.path().join("keys")).unwrap();
        let p256 = KeyType::EcdsaP256;
        keyring.create("release", Settings::new(&p256), generated(&p256), Timestamp::UNIX_EPOCH).unwrap();
        for (path, mode) in [("keys", 0o700), ("keys/release", 0o700), ("keys/release/1.p8", 0o600)] {
            let found = std::fs::metadata(directory.path().join(path)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{path}");
        }
    }
}
