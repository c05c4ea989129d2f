//! Public keys that outlive what Vault publishes.

use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use crate::domain::KeyName;
use crate::ports::ArchivedVersion;
use crate::store::archive_row::ArchiveRow;

/// Keeps versions, unless they are kept already.
pub(super) async fn keep(client: &Client, archived: &[ArchivedVersion]) -> Result<(), Error> {
    if archived.is_empty() {
        return Ok(());
    }
    // In one order for all replicas, so that none waits for another that waits for it; of the same, the first.
    let mut archived: Vec<_> = archived.iter().collect();
    archived.sort_by_key(|version| (&version.key, version.version, version.public_key.fingerprint()));
    let keys: Vec<_> = archived.iter().map(|version| version.key.as_str()).collect();
    let versions: Vec<_> = archived.iter().map(|version| i64::from(version.version.get())).collect();
    let fingerprints: Vec<_> =
        archived.iter().map(|version| version.public_key.fingerprint().as_bytes().to_vec()).collect();
    let pems: Vec<_> = archived.iter().map(|version| version.public_key.to_pem()).collect();
    let times: Vec<_> = archived.iter().map(|version| version.created_at.to_string()).collect();
    let sql = "INSERT INTO archived_keys (key, version, fingerprint, pem, created_at)
        SELECT * FROM unnest($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
        (&keys, Type::TEXT_ARRAY),
        (&versions, Type::INT8_ARRAY),
        (&fingerprints, Type::BYTEA_ARRAY),
        (&pems, Type::TEXT_ARRAY),
        (&times, Type::TEXT_ARRAY),
    ];
    client.execute(sql, &parameters).await.map(drop)
}

/// The versions of `key`, in the order in which they came.
pub(super) async fn of_key(client: &Client, key: &KeyName) -> Result<Vec<ArchiveRow>, Error> {
    let sql = "SELECT version, pem, created_at FROM archived_keys WHERE key = $1 ORDER BY id";
    let rows = client.query(sql, &[(&key.as_str(), Type::TEXT)]).await?;
    Ok(rows
        .iter()
        .map(|row| ArchiveRow { version: row.get(0), pem: row.get(1), created_at: row.get(2) })
        .collect())
}
