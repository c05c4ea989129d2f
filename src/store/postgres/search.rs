//! The search index, in tables of the log's database.

use std::time::{Duration, Instant};

use futures::future::try_join3;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::client::{Client, Parameters};
use super::database::Database;
use super::fault::Fault;
use crate::domain::SignatureIdentity;
use crate::ports::{LoggedEntry, Order};
use crate::store::search::{Changes, Meta, PAGE_TIME, Pair, Range, SearchFault, View, range_of};

/// There are two sets of tables, so that one can be filled while the other answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    A,
    B,
}

impl Set {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// By its name; there are no others.
    pub(super) fn named(name: &str) -> Self {
        if name == Self::B.name() { Self::B } else { Self::A }
    }
}

/// How long one question may take. Each part of its work is small.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What `search_state` and `head` say.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) live: Set,
    /// The other set is being filled.
    pub(super) is_building: bool,
    /// Entries from here on are in `recent`, as far as they are not in the index.
    pub(super) floor: u64,
    pub(super) log_size: u64,
    /// What somebody has asked for: `rebuild` or `start-over`.
    pub(super) wanted: Option<String>,
}

impl State {
    const SQL: &str = "SELECT live, building, floor, wanted, (SELECT size FROM head) FROM search_state";
}

/// What there is of some identities, and what that rests on; of no use where `live` is not the set that was asked.
pub(super) struct Known {
    pub(super) live: Set,
    pub(super) floor: u64,
    pub(super) meta: Option<Meta>,
    /// Whether there may be signatures of each.
    pub(super) known: Vec<bool>,
}

/// One set and the log, on one connection. It waits on this thread.
pub(super) struct PostgresView<'a> {
    pub(super) client: &'a Client,
    pub(super) database: &'a Database,
    pub(super) set: Set,
    pub(super) until: Instant,
    /// When a page has taken long.
    pub(super) long: Instant,
}

impl<'a> PostgresView<'a> {
    /// For a question that somebody waits for.
    pub(super) fn new(client: &'a Client, database: &'a Database, set: Set) -> Self {
        let now = Instant::now();
        Self { client, database, set, until: now + TIME_LIMIT, long: now + PAGE_TIME }
    }

    /// For the projector, whom nobody waits for.
    pub(super) fn patient(client: &'a Client, database: &'a Database, set: Set) -> Self {
        Self { until: Instant::now() + Duration::from_secs(3600), ..Self::new(client, database, set) }
    }

    pub(super) fn state(&self) -> Result<State, SearchFault> {
        Self::read_state(&self.query(State::SQL, &[])?)
    }

    /// Begins a transaction that sees one moment, and reads what is needed first: one way there and back.
    pub(super) fn begin(&self) -> Result<(State, Option<Meta>), SearchFault> {
        let sql = format!("SELECT v FROM search_small_{} WHERE k = $1", self.set.name());
        let key = Meta::key();
        let meta: Parameters<'_> = &[(&key, Type::BYTEA)];
        let ((), state, meta) = self.wait(try_join3(
            self.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            self.client.query(State::SQL, &[]),
            self.client.query_opt(&sql, meta),
        ))?;
        let meta = meta.map(|row| Meta::from_bytes(row.get(0))).transpose()?;
        Ok((Self::read_state(&state)?, meta))
    }

    /// Looks for signatures of `identities`, and at what the answer rests on, in one statement: so all of it is of one moment.
    pub(super) fn known(&self, identities: &[SignatureIdentity]) -> Result<Known, SearchFault> {
        // Each look goes by the one index that fits, whatever PostgreSQL believes of the tables.
        let sql = format!(
            "SELECT 0::bigint, live, floor, (SELECT v FROM search_small_{set} WHERE k = $4) FROM search_state
            UNION ALL SELECT place, NULL, NULL, NULL
                FROM unnest($1, $2, $3) WITH ORDINALITY AS asked (identity, first, beyond, place)
                WHERE (SELECT idx FROM recent WHERE recent.identity = asked.identity LIMIT 1) IS NOT NULL
                    OR (SELECT k FROM search_small_{set} WHERE k >= first AND k < beyond LIMIT 1) IS NOT NULL",
            set = self.set.name()
        );
        let bytes: Vec<_> = identities.iter().map(|identity| &identity.as_bytes()[..]).collect();
        let ranges = identities.iter().map(|identity| range_of(*identity));
        let (first, beyond): (Vec<_>, Vec<_>) = ranges.unzip();
        let parameters: Parameters<'_> = &[
            (&bytes, Type::BYTEA_ARRAY),
            (&first, Type::BYTEA_ARRAY),
            (&beyond, Type::BYTEA_ARRAY),
            (&Meta::key(), Type::BYTEA),
        ];
        let mut known = vec![false; identities.len()];
        let mut state = None;
        for row in self.query(&sql, parameters)? {
            match usize::try_from(row.get::<_, i64>(0)).ok().and_then(|place| place.checked_sub(1)) {
                Some(place) => known[place] = true,
                None => state = Some(row),
            }
        }
        let state = state.ok_or_else(|| SearchFault::damaged("`search_state` is empty"))?;
        let meta = state.get::<_, Option<&[u8]>>(3).map(Meta::from_bytes).transpose()?;
        let floor = state.get::<_, i64>(2).cast_unsigned();
        Ok(Known { live: Set::named(state.get(1)), floor, meta, known })
    }

    fn read_state(rows: &[Row]) -> Result<State, SearchFault> {
        let row = rows.first().ok_or_else(|| SearchFault::damaged("`search_state` is empty"))?;
        let number = |column| row.get::<_, i64>(column).cast_unsigned();
        Ok(State {
            live: Set::named(row.get(0)),
            is_building: row.get(1),
            floor: number(2),
            wanted: row.get(3),
            log_size: number(4),
        })
    }

    /// The next entries of the log, from `first` on.
    pub(super) fn next(&self, first: u64, limit: usize) -> Result<Vec<LoggedEntry>, SearchFault> {
        let sql = "SELECT idx, bytes FROM entries WHERE idx >= $1 ORDER BY idx LIMIT $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(sql, &[(&first.cast_signed(), Type::INT8), (&limit, Type::INT8)])?;
        Ok(rows.iter().map(logged).collect())
    }

    /// Does something of which nothing comes back.
    pub(super) fn run(&self, sql: &str) -> Result<(), SearchFault> {
        self.wait(self.client.batch_execute(sql))
    }

    pub(super) fn query(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, SearchFault> {
        self.wait(self.client.query(sql, parameters))
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, SearchFault> {
        if Instant::now() >= self.until {
            let reason = format!("a question took longer than {TIME_LIMIT:?}");
            return Err(SearchFault::Failed { reason, transient: false });
        }
        let patience = self.database.connector.patience();
        match self.database.wait(async { tokio::time::timeout(patience, answer).await }) {
            Ok(answer) => answer.map_err(fault),
            Err(_) => Err(Fault::transient(format!("PostgreSQL has not answered for {patience:?}")).into()),
        }
    }
}

/// Makes `changes`, within a transaction.
pub(super) fn write(view: &PostgresView<'_>, changes: &Changes) -> Result<(), SearchFault> {
    let set = view.set.name();
    let gone: Vec<_> =
        changes.small.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect();
    if !gone.is_empty() {
        let sql = format!("DELETE FROM search_small_{set} WHERE k = ANY($1)");
        view.wait(view.client.execute(&sql, &[(&gone, Type::BYTEA_ARRAY)]))?;
    }
    let there = changes.small.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let (keys, values): (Vec<_>, Vec<_>) = there.unzip();
    let sql = format!(
        "INSERT INTO search_small_{set} AS old SELECT * FROM unnest($1, $2)
        ON CONFLICT (k) DO UPDATE SET v = excluded.v WHERE old.v <> excluded.v"
    );
    view.wait(view.client.execute(&sql, &[(&keys, Type::BYTEA_ARRAY), (&values, Type::BYTEA_ARRAY)]))?;
    let (keys, values): (Vec<i64>, Vec<&Vec<u8>>) =
        changes.large.iter().map(|(key, value)| (*key, value)).unzip();
    let sql = format!(
        "INSERT INTO search_large_{set} SELECT * FROM unnest($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v"
    );
    view.wait(view.client.execute(&sql, &[(&keys, Type::INT8_ARRAY), (&values, Type::BYTEA_ARRAY)]))?;
    Ok(())
}

/// What is asked for nothing is not asked of the database: new signatures are looked up, and are not there.
impl View for PostgresView<'_> {
    fn is_long(&self) -> bool {
        Instant::now() >= self.long
    }

    fn small(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, SearchFault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT v FROM unnest($1) WITH ORDINALITY AS wanted (k, place) LEFT JOIN search_small_{} USING (k) ORDER BY place",
            self.set.name()
        );
        let rows = self.query(&sql, &[(&keys, Type::BYTEA_ARRAY)])?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn ranges(&self, ranges: &[Range], limit: usize, order: Order) -> Result<Vec<Vec<Pair>>, SearchFault> {
        let (from, to): (Vec<_>, Vec<_>) = ranges.iter().map(|(from, to)| (from, to)).unzip();
        let order = match order {
            Order::OldestFirst => "ASC",
            Order::NewestFirst => "DESC",
        };
        let sql = format!(
            "SELECT place, found.k, found.v FROM unnest($1, $2) WITH ORDINALITY AS wanted (first, beyond, place),
                LATERAL (SELECT k, v FROM search_small_{} WHERE k >= first AND k < beyond ORDER BY k {order} LIMIT $3) AS found
            ORDER BY place, found.k {order}",
            self.set.name()
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> =
            &[(&from, Type::BYTEA_ARRAY), (&to, Type::BYTEA_ARRAY), (&limit, Type::INT8)];
        let mut found = vec![Vec::new(); ranges.len()];
        for row in self.query(&sql, parameters)? {
            let place = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
            if let Some(found) = found.get_mut(place) {
                found.push((row.get(1), row.get(2)));
            }
        }
        Ok(found)
    }

    fn large(&self, keys: &[i64]) -> Result<Vec<Option<Vec<u8>>>, SearchFault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT v FROM unnest($1) WITH ORDINALITY AS wanted (k, place) LEFT JOIN search_large_{} USING (k) ORDER BY place",
            self.set.name()
        );
        let rows = self.query(&sql, &[(&keys, Type::INT8_ARRAY)])?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn large_range(&self, first: i64, last: i64) -> Result<Vec<(i64, Vec<u8>)>, SearchFault> {
        let sql =
            format!("SELECT k, v FROM search_large_{} WHERE k BETWEEN $1 AND $2 ORDER BY k", self.set.name());
        let rows = self.query(&sql, &[(&first, Type::INT8), (&last, Type::INT8)])?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn entries(&self, indexes: &[u64]) -> Result<Vec<LoggedEntry>, SearchFault> {
        if indexes.is_empty() {
            return Ok(Vec::new());
        }
        let indexes: Vec<_> = indexes.iter().map(|index| index.cast_signed()).collect();
        let sql = "SELECT idx, bytes FROM entries WHERE idx = ANY($1) ORDER BY idx";
        Ok(self.query(sql, &[(&indexes, Type::INT8_ARRAY)])?.iter().map(logged).collect())
    }

    fn first(&self) -> Result<u64, SearchFault> {
        let rows = self.query("SELECT coalesce(min(idx), 0) FROM entries", &[])?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).cast_unsigned()))
    }
}

/// What PostgreSQL says of the index.
fn fault(error: Error) -> SearchFault {
    let of_another_form = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::DATA_CORRUPTED,
        SqlState::INDEX_CORRUPTED,
    ];
    let is_damaged = error.code().is_some_and(|code| of_another_form.contains(code));
    let fault = Fault::from(error);
    if is_damaged { SearchFault::Damaged(fault.reason) } else { fault.into() }
}

impl From<Fault> for SearchFault {
    fn from(Fault { reason, transient }: Fault) -> Self {
        Self::Failed { reason, transient }
    }
}

/// A row of index and bytes.
pub(super) fn logged(row: &Row) -> LoggedEntry {
    LoggedEntry { index: row.get::<_, i64>(0).cast_unsigned(), bytes: row.get(1) }
}
