//! The log itself.

use tokio_postgres::Error;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::client::Client;
use super::pipeline::Pipeline;
use crate::ports::NewEntry;

/// Appends `entries` from index `first` on, which the transaction has claimed, with what requests look up before the search index has it.
pub(super) fn append<'a>(
    pipeline: &mut Pipeline<'a>,
    client: &'a Client,
    first: i64,
    entries: &'a [NewEntry],
) {
    if entries.is_empty() {
        return;
    }
    let bytes: Vec<_> = entries.iter().map(NewEntry::bytes).collect();
    pipeline.push(async move {
        let sql = "INSERT INTO entries
            SELECT $1 + place - 1, bytes FROM unnest($2) WITH ORDINALITY AS added (bytes, place)";
        client.execute(sql, &[(&first, Type::INT8), (&bytes, Type::BYTEA_ARRAY)]).await
    });
    let recent = Recent::of(first, entries);
    if !recent.indexes.is_empty() {
        pipeline.push(async move { recent.insert(client).await });
    }
}

/// Entries that speak of signatures, column by column.
#[derive(Default)]
struct Recent<'a> {
    indexes: Vec<i64>,
    signatures: Vec<Uuid>,
    identities: Vec<Option<Vec<u8>>>,
    /// Of the artifact, where the entry holds a signature.
    digests: Vec<Option<&'a [u8]>>,
}

impl<'a> Recent<'a> {
    fn of(first: i64, entries: &'a [NewEntry]) -> Self {
        let mut recent = Self::default();
        for (index, entry) in (first..).zip(entries) {
            let Some(signing) = entry.entry().signing() else { continue };
            let identity = entry.entry().identity();
            let subject = entry.entry().subject.as_ref().filter(|_| identity.is_some());
            recent.indexes.push(index);
            recent.signatures.push(Uuid::from_bytes(*signing.id.as_bytes()));
            recent.identities.push(identity.map(|identity| identity.as_bytes().to_vec()));
            recent.digests.push(subject.map(|subject| &subject.digest.as_bytes()[..]));
        }
        recent
    }

    async fn insert(&self, client: &Client) -> Result<u64, Error> {
        let sql = "INSERT INTO recent SELECT * FROM unnest($1, $2, $3, $4)";
        client
            .execute(
                sql,
                &[
                    (&self.indexes, Type::INT8_ARRAY),
                    (&self.signatures, Type::UUID_ARRAY),
                    (&self.identities, Type::BYTEA_ARRAY),
                    (&self.digests, Type::BYTEA_ARRAY),
                ],
            )
            .await
    }
}
