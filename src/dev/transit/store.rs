//! Keys on the disk.
//!
//! ```text
//! <name>/<version>.p8        the private key, PKCS#8 in DER, mode 0600
//! <name>/settings.json       the rest; a key without it does not exist
//! ```

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keyring::{Key, Settings};
use super::signing_key::SigningKey;
use crate::domain::KeyType;

const SETTINGS: &str = "settings.json";

pub(super) struct Store {
    directory: PathBuf,
}

impl Store {
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        make_private_directory(&directory)?;
        Ok(Self { directory })
    }

    pub(super) fn load(&self) -> io::Result<BTreeMap<String, Key>> {
        let mut keys = BTreeMap::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let settings = match fs::read(entry.path().join(SETTINGS)) {
                Ok(content) => serde_json::from_slice(&content)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| io::Error::other(format!("{name:?} is no name of a key")))?;
            keys.insert(name, load_key(&entry.path(), settings)?);
        }
        Ok(keys)
    }

    pub(super) fn write_version(&self, name: &str, version: u32, pkcs8: &[u8]) -> io::Result<()> {
        let key = self.directory.join(name);
        make_private_directory(&key)?;
        write_private(&version_file(&key, version), pkcs8)
    }

    pub(super) fn write_settings(&self, name: &str, settings: &Settings) -> io::Result<()> {
        let key = self.directory.join(name);
        write_private(&key.join(SETTINGS), &serde_json::to_vec(settings)?)
    }

    pub(super) fn delete_version(&self, name: &str, version: u32) -> io::Result<()> {
        fs::remove_file(version_file(&self.directory.join(name), version))
    }

    pub(super) fn delete(&self, name: &str) -> io::Result<()> {
        let key = self.directory.join(name);
        fs::remove_file(key.join(SETTINGS))?;
        fs::remove_dir_all(key)
    }
}

fn load_key(directory: &Path, settings: Settings) -> io::Result<Key> {
    let mut versions = BTreeMap::new();
    let key_type = KeyType::from(settings.key_type.as_str());
    for &version in settings.created.keys() {
        let file = version_file(directory, version);
        let signing_key = SigningKey::from_pkcs8(&key_type, &fs::read(&file)?)
            .map_err(|_| io::Error::other(format!("{} is no {key_type} key in PKCS#8", file.display())))?;
        versions.insert(version, Arc::new(signing_key));
    }
    Ok(Key { settings, versions })
}

fn version_file(directory: &Path, version: u32) -> PathBuf {
    directory.join(format!("{version}.p8"))
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whole or not at all, readable by the owner alone.
fn write_private(target: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = target.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, target)
}
