//! How much of which budget was used.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join;
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use crate::domain::{Digest, Timestamp};
use crate::ports::{Taken, Taking, Uses};
use crate::store::uses_row;

/// Records that are forgotten in one transaction.
const STEP: i64 = 1000;

/// Held from looking at what counts until what is added counts: two replicas would take the last use both.
const LOCK: i64 = 0x7369_676e_6574_0002;

/// What is to be counted, by budget and slot.
#[derive(Default)]
pub(super) struct Used(BTreeMap<(Digest, i64), (i64, Timestamp)>);

/// What becomes of `takings`, and what is to be counted for those that are granted. Nothing is asked, and nobody
/// held up, where there are none.
pub(super) async fn look(client: &Client, takings: &[Taking]) -> Result<(Vec<Taken>, Used), Error> {
    let mut used = Used::default();
    if takings.is_empty() {
        return Ok((Vec::new(), used));
    }
    let mut budgets: Vec<_> =
        takings.iter().flat_map(|taking| taking.uses().map(|(budget, _)| *budget.as_bytes())).collect();
    budgets.sort_unstable();
    budgets.dedup();
    let budgets: Vec<_> = budgets.iter().map(|budget| &budget[..]).collect();
    let sql = "SELECT budget, slot, count, expires FROM uses WHERE budget = ANY ($1)";
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&budgets, Type::BYTEA_ARRAY)];
    let lock: [(&(dyn ToSql + Sync), Type); 1] = [(&LOCK, Type::INT8)];
    // The second statement sees what was committed until the first one had the lock.
    let (_, rows) =
        try_join(client.query("SELECT pg_advisory_xact_lock($1)", &lock), client.query(sql, &parameters))
            .await?;
    let mut counted: HashMap<Vec<u8>, BTreeMap<i64, (i64, Timestamp)>> = HashMap::new();
    for row in rows {
        let (count, expires) = (row.get(2), row.get(3));
        let expires = uses_row::counted(count, expires).1;
        counted.entry(row.get(0)).or_default().insert(row.get(1), (count, expires));
    }
    let mut taken = Vec::with_capacity(takings.len());
    for taking in takings {
        let count = |budget: Digest| {
            let slots = counted.get(&budget.as_bytes()[..]).into_iter().flat_map(BTreeMap::values);
            let counts = slots.filter(|(_, expires)| *expires > taking.now());
            let counts = counts.map(|(count, expires)| (u32::try_from(*count).unwrap_or(u32::MAX), *expires));
            Ok::<_, Error>(counts.collect())
        };
        let granted = taking.against(count)?;
        if granted == Taken::Yes {
            for (budget, uses) in taking.uses() {
                add(counted.entry(budget.as_bytes().to_vec()).or_default().entry(uses.slot), uses);
                add(used.0.entry((budget, uses.slot)), uses);
            }
        }
        taken.push(granted);
    }
    Ok((taken, used))
}

impl Used {
    pub(super) async fn count(self, client: &Client) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let budgets: Vec<_> = self.0.keys().map(|(budget, _)| budget.as_bytes().to_vec()).collect();
        let slots: Vec<_> = self.0.keys().map(|(_, slot)| *slot).collect();
        let counts: Vec<_> = self.0.values().map(|(count, _)| *count).collect();
        let expires: Vec<_> = self.0.values().map(|(_, expires)| expires.as_microsecond()).collect();
        let sql = "INSERT INTO uses SELECT * FROM unnest($1, $2, $3, $4) ON CONFLICT (budget, slot) DO UPDATE
            SET count = uses.count + excluded.count, expires = greatest(uses.expires, excluded.expires)";
        let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
            (&budgets, Type::BYTEA_ARRAY),
            (&slots, Type::INT8_ARRAY),
            (&counts, Type::INT8_ARRAY),
            (&expires, Type::INT8_ARRAY),
        ];
        client.execute(sql, &parameters).await.map(drop)
    }
}

/// Forgets some of what has expired before `before`; 0 where nothing is left for us.
pub(super) async fn forget(client: &Client, before: Timestamp) -> Result<u64, Error> {
    let sql = "DELETE FROM uses WHERE (budget, slot) IN (SELECT budget, slot FROM uses WHERE expires < $1
        ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)";
    client.execute(sql, &[(&before.as_microsecond(), Type::INT8), (&STEP, Type::INT8)]).await
}

fn add<K: Ord>(slot: std::collections::btree_map::Entry<'_, K, (i64, Timestamp)>, uses: Uses) {
    let (count, expires) = slot.or_insert((0, uses.expires));
    *count = count.saturating_add(uses.amount.into());
    *expires = (*expires).max(uses.expires);
}
