//! What a database keeps of a public key, whatever the database.

use crate::domain::{KeyName, KeyVersion, PublicKey};
use crate::ports::{ArchivedVersion, LogError};

/// A version that is kept.
pub(super) struct ArchiveRow {
    pub(super) version: i64,
    pub(super) pem: String,
    /// RFC 3339: Vault counts nanoseconds.
    pub(super) created_at: String,
}

/// The versions of `key`, from rows in the order in which they came: by version, and of one version the newest last.
///
/// # Errors
/// Where a row is none that a store has written.
pub(super) fn versions(key: &KeyName, rows: Vec<ArchiveRow>) -> Result<Vec<ArchivedVersion>, LogError> {
    let mut versions: Vec<_> = rows.into_iter().map(|row| row.of(key)).collect::<Result<_, _>>()?;
    versions.sort_by_key(|version| (version.version, version.created_at));
    Ok(versions)
}

impl ArchiveRow {
    fn of(self, key: &KeyName) -> Result<ArchivedVersion, LogError> {
        let damaged =
            |what: String| LogError(format!("an archived version of {key} can not be read: {what}"));
        let version = u32::try_from(self.version).ok().and_then(KeyVersion::new);
        Ok(ArchivedVersion {
            key: key.clone(),
            version: version.ok_or_else(|| damaged(format!("{} is no version", self.version)))?,
            public_key: PublicKey::from_pem(&self.pem).map_err(|error| damaged(error.to_string()))?,
            created_at: self.created_at.parse().map_err(|error: jiff::Error| damaged(error.to_string()))?,
        })
    }
}
