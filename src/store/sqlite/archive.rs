//! Public keys that outlive what Vault publishes.

use rusqlite::{Transaction, params};

use crate::domain::KeyName;
use crate::ports::ArchivedVersion;
use crate::store::archive_row::ArchiveRow;

/// Keeps a version, unless it is kept already.
pub(super) fn keep(transaction: &Transaction<'_>, archived: &ArchivedVersion) -> rusqlite::Result<()> {
    let ArchivedVersion { key, version, public_key, created_at } = archived;
    transaction
        .prepare_cached(
            "INSERT INTO archived_keys (key, version, fingerprint, pem, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            key.as_str(),
            version.get(),
            public_key.fingerprint().as_bytes(),
            public_key.to_pem(),
            created_at.to_string(),
        ])
        .map(drop)
}

/// The versions of `key`, in the order in which they came.
pub(super) fn of_key(transaction: &Transaction<'_>, key: &KeyName) -> rusqlite::Result<Vec<ArchiveRow>> {
    transaction
        .prepare_cached("SELECT version, pem, created_at FROM archived_keys WHERE key = ?1 ORDER BY id")?
        .query_map([key.as_str()], |row| {
            Ok(ArchiveRow { version: row.get(0)?, pem: row.get(1)?, created_at: row.get(2)? })
        })?
        .collect()
}
