//! The log itself.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::pipeline::Pipeline;
use super::text::text;
use super::tree;
use crate::ports::NewEntry;
use crate::store::search_row::Timeline;
use crate::store::tree_row::HeadRow;

/// The place of new entries, held until the transaction ends.
pub(super) struct Claimed {
    pub(super) head: HeadRow,
    timeline: Timeline,
}

/// Claims the indexes of `count` entries, from the size of the head on. Without entries nobody is held up.
pub(super) async fn claim(client: &Client, count: usize) -> Result<Claimed, Error> {
    if count == 0 {
        return Ok(Claimed { head: tree::head(client, false).await?, timeline: Timeline::START });
    }
    let (head, last) = futures::future::try_join(
        tree::head(client, true),
        client.query_typed_opt("SELECT latest, lag FROM search ORDER BY idx DESC LIMIT 1", &[]),
    )
    .await?;
    let timeline = last.map_or(Timeline::START, |row| Timeline { latest: row.get(0), lag: row.get(1) });
    Ok(Claimed { head, timeline })
}

/// Appends `entries` at their place, with what questions are asked of.
pub(super) fn append<'a>(
    pipeline: &mut Pipeline<'a>,
    client: &'a Client,
    claimed: &Claimed,
    entries: &'a [NewEntry],
) {
    if entries.is_empty() {
        return;
    }
    let bytes: Vec<_> = entries.iter().map(NewEntry::bytes).collect();
    let first = claimed.head.size;
    pipeline.push(async move {
        let sql = "INSERT INTO entries
            SELECT $1 + place - 1, bytes FROM unnest($2) WITH ORDINALITY AS added (bytes, place)";
        client.execute_typed(sql, &[(&first, Type::INT8), (&bytes, Type::BYTEA_ARRAY)]).await
    });
    let rows = Rows::of(claimed, entries);
    pipeline.push(async move { rows.insert(client).await });
}

/// Rows of the search, column by column.
#[derive(Default)]
struct Rows<'a> {
    indexes: Vec<i64>,
    times: Vec<i64>,
    latest: Vec<i64>,
    lags: Vec<i64>,
    kinds: Vec<&'static str>,
    operations: Vec<String>,
    repositories: Vec<Option<String>>,
    digests: Vec<Option<Vec<u8>>>,
    principals: Vec<std::borrow::Cow<'a, str>>,
    keys: Vec<Option<&'a str>>,
    versions: Vec<Option<i64>>,
    signatures: Vec<Option<Uuid>>,
    identities: Vec<Option<Vec<u8>>>,
}

impl<'a> Rows<'a> {
    fn of(claimed: &Claimed, entries: &'a [NewEntry]) -> Self {
        let mut timeline = claimed.timeline;
        let mut rows = Self::default();
        for (index, entry) in (claimed.head.size..).zip(entries) {
            let row = timeline.row(entry.entry());
            rows.indexes.push(index);
            rows.times.push(row.time);
            rows.latest.push(row.latest);
            rows.lags.push(row.lag);
            rows.kinds.push(row.kind);
            rows.operations.push(row.operation);
            rows.repositories.push(row.repository);
            rows.digests.push(row.digest.map(|digest| digest.as_bytes().to_vec()));
            rows.principals.push(text(row.principal));
            rows.keys.push(row.key);
            rows.versions.push(row.key_version.map(i64::from));
            rows.signatures.push(row.signature.map(|id| Uuid::from_bytes(*id.as_bytes())));
            rows.identities.push(row.identity.map(|identity| identity.as_bytes().to_vec()));
        }
        rows
    }

    async fn insert(&self, client: &Client) -> Result<u64, Error> {
        let sql = "INSERT INTO search SELECT * FROM
            unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        client
            .execute_typed(
                sql,
                &[
                    (&self.indexes, Type::INT8_ARRAY),
                    (&self.times, Type::INT8_ARRAY),
                    (&self.latest, Type::INT8_ARRAY),
                    (&self.lags, Type::INT8_ARRAY),
                    (&self.kinds, Type::TEXT_ARRAY),
                    (&self.operations, Type::TEXT_ARRAY),
                    (&self.repositories, Type::TEXT_ARRAY),
                    (&self.digests, Type::BYTEA_ARRAY),
                    (&self.principals, Type::TEXT_ARRAY),
                    (&self.keys, Type::TEXT_ARRAY),
                    (&self.versions, Type::INT8_ARRAY),
                    (&self.signatures, Type::UUID_ARRAY),
                    (&self.identities, Type::BYTEA_ARRAY),
                ],
            )
            .await
    }
}
