//! Questions to the projection, page by page.

use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};

use super::readers::logged;
use super::size;
use crate::domain::Timestamp;
use crate::ports::{EntryPage, EntryQuery};

/// Bytes of a page's entries, roughly: large entries make short pages.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// One page. It goes along the indexes of entries, so that pages neither overlap nor skip while the log grows.
pub(super) fn page(transaction: &Transaction<'_>, query: &EntryQuery) -> rusqlite::Result<EntryPage> {
    let all = size(transaction, "search")?;
    let size = query.size.map_or(all, |size| clamp(size).min(all));
    let limit = query.limit.min(EntryQuery::MAX_LIMIT);
    let range = indexes(transaction, query, size)?;
    let (sql, values) = statement(query, range, limit + 1);

    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query_map(params_from_iter(values), logged)?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut more = false;
    while let Some(entry) = rows.next().transpose()? {
        if entries.len() == limit || bytes >= PAGE_BYTES {
            more = true;
            break;
        }
        bytes += entry.bytes.len();
        entries.push(entry);
    }
    Ok(EntryPage { entries, size: size.cast_unsigned(), more })
}

/// The range of indexes outside of which nothing can match, from its first to before its last.
fn indexes(transaction: &Transaction<'_>, query: &EntryQuery, size: i64) -> rusqlite::Result<(i64, i64)> {
    let after = query.after.map_or(0, |after| clamp(after).saturating_add(1));
    // An entry of `from` or later is one at which `latest` has reached `from`.
    let begin = match query.filter.from {
        Some(from) => reached(transaction, size, from.as_microsecond())?,
        None => 0,
    };
    // Where `latest` is beyond `to` by more than any entry ever lagged, no entry is before `to`.
    let end = match query.filter.to {
        Some(to) => {
            let lag = lag(transaction, size)?;
            reached(transaction, size, to.as_microsecond().saturating_add(lag))?
        }
        None => size,
    };
    Ok((after.max(begin), end))
}

/// The first index below `size` at which `latest` is at least `moment`, else `size`.
fn reached(transaction: &Transaction<'_>, size: i64, moment: i64) -> rusqlite::Result<i64> {
    let mut latest = transaction.prepare_cached("SELECT latest FROM search WHERE idx = ?1")?;
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        if latest.query_row([middle], |row| row.get::<_, i64>(0))? < moment {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn lag(transaction: &Transaction<'_>, size: i64) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("SELECT coalesce((SELECT lag FROM search WHERE idx = ?1 - 1), 0)")?
        .query_row([size], |row| row.get(0))
}

/// The statement for the entries of `range` that match. Values are always bound, never written into it.
fn statement(query: &EntryQuery, (begin, end): (i64, i64), limit: usize) -> (String, Vec<Value>) {
    let mut conditions = Conditions::default();
    conditions
        .equal(&[("digest", query.filter.digest.map(|digest| Value::Blob(digest.as_bytes().to_vec())))]);
    conditions.equal(&[(
        "repository",
        query.filter.repository.as_ref().map(|name| Value::Text(name.as_str().to_owned())),
    )]);
    conditions.equal(&[("principal", query.filter.principal.clone().map(Value::Text))]);
    conditions.equal(&[
        ("key", query.filter.key.clone().map(Value::Text)),
        ("key_version", query.filter.key_version.map(|version| Value::Integer(version.into()))),
    ]);
    conditions.equal(&[("kind", query.filter.kind.clone().map(Value::Text))]);
    match query.filter.denied {
        Some(true) => conditions.equal(&[("kind", Some(Value::Text("refusal".to_owned())))]),
        Some(false) => conditions.add("kind <> ", Value::Text("refusal".to_owned())),
        None => {}
    }
    let micros = |time: Timestamp| Value::Integer(time.as_microsecond());
    if let Some(from) = query.filter.from {
        conditions.add("time >= ", micros(from));
    }
    if let Some(to) = query.filter.to {
        conditions.add("time < ", micros(to));
    }
    conditions.add("idx >= ", Value::Integer(begin));
    conditions.add("idx < ", Value::Integer(end));
    conditions.values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    // "CROSS" keeps the order: the projection says which entries are read.
    let sql = format!(
        "SELECT idx, bytes FROM search CROSS JOIN entries USING (idx) WHERE {} ORDER BY idx LIMIT ?{}",
        conditions.sql,
        conditions.values.len()
    );
    (sql, conditions.values)
}

/// Conditions that are combined with "and".
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
    /// Whether one of them uses an index already.
    indexed: bool,
}

impl Conditions {
    /// The columns of one index. The first that is asked for is looked up in its index, which keeps the order of
    /// `idx`; all others are compared: the sign keeps SQLite, which knows nothing of how many rows each value has,
    /// from choosing. The most selective comes first.
    fn equal(&mut self, columns: &[(&str, Option<Value>)]) {
        let sign = if self.indexed { "+" } else { "" };
        for (column, value) in columns {
            if let Some(value) = value {
                self.add(&format!("{sign}{column} = "), value.clone());
                self.indexed = true;
            }
        }
    }

    fn add(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        let and = if self.sql.is_empty() { "" } else { " AND " };
        write!(self.sql, "{and}{condition}?{}", self.values.len())
            .expect("invariant: writing to a string does not fail");
    }
}

/// An index as SQLite counts: beyond, there are no entries.
fn clamp(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
