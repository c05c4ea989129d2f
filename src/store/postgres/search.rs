//! Questions to the projection, page by page.

use std::fmt::Write as _;

use futures::TryStreamExt as _;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

use super::text::text;
use crate::domain::{SignatureId, SignatureIdentity};
use crate::ports::{EntryPage, EntryQuery, LoggedEntry};

/// Bytes of a page's entries, roughly: large entries make short pages.
const PAGE_BYTES: i64 = 4 * 1024 * 1024;

pub(super) async fn entry(client: &Client, index: u64) -> Result<Option<LoggedEntry>, Error> {
    let sql = "SELECT idx, bytes FROM entries WHERE idx = $1";
    let row = client.query_typed_opt(sql, &[(&clamp(index), Type::INT8)]).await?;
    Ok(row.as_ref().map(logged))
}

pub(super) async fn of_signature(client: &Client, id: SignatureId) -> Result<Vec<LoggedEntry>, Error> {
    let sql = "SELECT idx, bytes FROM search JOIN entries USING (idx) WHERE signature_id = $1 ORDER BY idx";
    let id = Uuid::from_bytes(*id.as_bytes());
    Ok(client.query_typed(sql, &[(&id, Type::UUID)]).await?.iter().map(logged).collect())
}

pub(super) async fn of_identity(
    client: &Client,
    identity: SignatureIdentity,
) -> Result<Vec<LoggedEntry>, Error> {
    let sql = "SELECT idx, bytes FROM search JOIN entries USING (idx) WHERE signature_id =
        (SELECT signature_id FROM search WHERE identity = $1 ORDER BY idx DESC LIMIT 1) ORDER BY idx";
    let identity = &identity.as_bytes()[..];
    Ok(client.query_typed(sql, &[(&identity, Type::BYTEA)]).await?.iter().map(logged).collect())
}

/// One page, in a transaction of the caller's. It goes along the indexes of entries, so that pages neither overlap nor
/// skip while the log grows.
pub(super) async fn page(client: &Client, query: &EntryQuery) -> Result<EntryPage, Error> {
    let all: i64 = client.query_typed_one("SELECT coalesce(max(idx) + 1, 0) FROM search", &[]).await?.get(0);
    let size = query.size.map_or(all, |size| clamp(size).min(all));
    let limit = query.limit.min(EntryQuery::MAX_LIMIT);
    let (begin, end) = indexes(client, query, size).await?;

    let (sql, values) = statement(query, (begin, end), limit + 1);
    let rows = client.query_typed_raw(&sql, values).await?;
    let mut rows = std::pin::pin!(rows);
    let mut entries = Vec::new();
    let mut more = false;
    while let Some(row) = rows.try_next().await? {
        match row.get::<_, Option<Vec<u8>>>(1) {
            Some(bytes) if entries.len() < limit => {
                entries.push(LoggedEntry { index: row.get::<_, i64>(0).cast_unsigned(), bytes });
            }
            _ => more = true,
        }
    }
    Ok(EntryPage { entries, size: size.cast_unsigned(), more })
}

/// The range of indexes outside of which nothing can match, from its first to before its last.
async fn indexes(client: &Client, query: &EntryQuery, size: i64) -> Result<(i64, i64), Error> {
    let after = query.after.map_or(0, |after| clamp(after).saturating_add(1));
    // An entry of `from` or later is one at which `latest` has reached `from`.
    let begin = match query.filter.from {
        Some(from) => reached(client, size, from.as_microsecond()).await?,
        None => 0,
    };
    // Where `latest` is beyond `to` by more than any entry ever lagged, no entry is before `to`.
    let end = match query.filter.to {
        Some(to) => {
            let lag = lag(client, size).await?;
            reached(client, size, to.as_microsecond().saturating_add(lag)).await?
        }
        None => size,
    };
    Ok((after.max(begin), end))
}

/// The first index below `size` at which `latest` is at least `moment`, else `size`: halving, on the server.
async fn reached(client: &Client, size: i64, moment: i64) -> Result<i64, Error> {
    let sql = "WITH RECURSIVE halves (low, high) AS (
            SELECT 0::bigint, $1
            UNION ALL
            SELECT CASE WHEN latest < $2 THEN idx + 1 ELSE low END, CASE WHEN latest < $2 THEN high ELSE idx END
            FROM halves JOIN search ON idx = low + (high - low) / 2 WHERE low < high
        ) SELECT max(low) FROM halves";
    let row = client.query_typed_one(sql, &[(&size, Type::INT8), (&moment, Type::INT8)]).await?;
    Ok(row.get(0))
}

async fn lag(client: &Client, size: i64) -> Result<i64, Error> {
    let sql = "SELECT coalesce((SELECT lag FROM search WHERE idx = $1 - 1), 0)";
    Ok(client.query_typed_one(sql, &[(&size, Type::INT8)]).await?.get(0))
}

type Value = (Box<dyn ToSql + Sync + Send>, Type);

/// The statement for the entries of `range` that match. Values are always bound, never written into it. Entries for
/// which the page has no room come without their bytes.
fn statement(query: &EntryQuery, (begin, end): (i64, i64), limit: usize) -> (String, Vec<Value>) {
    let mut conditions = Conditions::default();
    let string = |value: &str| text(value).into_owned();
    if let Some(digest) = query.filter.digest {
        conditions.add("digest = ", digest.as_bytes().to_vec(), Type::BYTEA);
    }
    if let Some(repository) = &query.filter.repository {
        conditions.long("repository", repository.as_str().to_owned());
    }
    if let Some(principal) = &query.filter.principal {
        conditions.long("principal", string(principal));
    }
    if let Some(key) = &query.filter.key {
        conditions.add("key = ", string(key), Type::TEXT);
    }
    if let Some(version) = query.filter.key_version {
        conditions.add("key_version = ", i64::from(version), Type::INT8);
    }
    if let Some(kind) = &query.filter.kind {
        conditions.add("kind = ", string(kind), Type::TEXT);
    }
    match query.filter.denied {
        Some(true) => conditions.add("kind = ", "refusal", Type::TEXT),
        Some(false) => conditions.add("kind <> ", "refusal", Type::TEXT),
        None => {}
    }
    if let Some(from) = query.filter.from {
        conditions.add("time >= ", from.as_microsecond(), Type::INT8);
    }
    if let Some(to) = query.filter.to {
        conditions.add("time < ", to.as_microsecond(), Type::INT8);
    }
    conditions.add("idx >= ", begin, Type::INT8);
    conditions.add("idx < ", end, Type::INT8);
    let Conditions { sql, mut values } = conditions;
    values.push((Box::new(i64::try_from(limit).unwrap_or(i64::MAX)), Type::INT8));
    let limit = values.len();
    values.push((Box::new(PAGE_BYTES), Type::INT8));
    let sql = format!(
        "SELECT idx, CASE WHEN sum(length(bytes)) OVER (ORDER BY idx) - length(bytes) < ${} THEN bytes END
        FROM (SELECT idx, bytes FROM search JOIN entries USING (idx) WHERE {sql} ORDER BY idx LIMIT ${limit}) AS few
        ORDER BY idx",
        values.len(),
    );
    (sql, values)
}

/// Conditions that are combined with "and".
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn add(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static, of: Type) {
        self.values.push((Box::new(value), of));
        let and = if self.sql.is_empty() { "" } else { " AND " };
        write!(self.sql, "{and}{condition}${}", self.values.len())
            .expect("invariant: writing to a string does not fail");
    }

    /// A column of which the beginning is indexed.
    fn long(&mut self, column: &str, value: String) {
        self.add(&format!("{column} = "), value, Type::TEXT);
        write!(self.sql, " AND left({column}, 500) = left(${}, 500)", self.values.len())
            .expect("invariant: writing to a string does not fail");
    }
}

/// A row of index and bytes.
pub(super) fn logged(row: &Row) -> LoggedEntry {
    LoggedEntry { index: row.get::<_, i64>(0).cast_unsigned(), bytes: row.get(1) }
}

/// An index as PostgreSQL counts: beyond, there are no entries.
pub(super) fn clamp(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
