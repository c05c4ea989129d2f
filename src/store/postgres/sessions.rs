//! Sessions of people who look at the log in a browser.

use std::collections::HashSet;

use futures::future::try_join3;
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::pipeline::Pipeline;
use crate::domain::Timestamp;
use crate::ports::{Session, SessionChange, SessionId, SessionOpening, Writes};
use crate::store::session_row::SessionRow;

/// `id` is the SHA-256 of a secret that is kept nowhere here. Times are microseconds since 1970.
pub(super) const STEP: &str = "
    CREATE TABLE sessions (
        id bytea PRIMARY KEY CHECK (length(id) = 32),
        until bigint NOT NULL,
        seen bigint NOT NULL,
        content bytea NOT NULL CHECK (length(content) <= 65536)
    );
    CREATE INDEX sessions_until ON sessions (until);
    CREATE INDEX sessions_seen ON sessions (seen);
";

/// Sessions that are forgotten in one transaction.
const PART: i64 = 1000;

/// Held from counting the sessions until those that are opened count: two replicas would open the last one both.
const LOCK: i64 = 0x7369_676e_6574_0004;

/// What becomes of the sessions that are to be opened. Nothing is asked, and nobody held up, where there are none.
pub(super) async fn look(client: &Client, changes: &[SessionChange]) -> Result<Vec<SessionOpening>, Error> {
    if !changes.iter().any(|change| matches!(change, SessionChange::Open { .. })) {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = changes.iter().map(|change| change.id().0.to_vec()).collect();
    let lock: [(&(dyn ToSql + Sync), Type); 1] = [(&LOCK, Type::INT8)];
    let known: [(&(dyn ToSql + Sync), Type); 1] = [(&ids, Type::BYTEA_ARRAY)];
    // The other statements see what was committed until the first one had the lock.
    let (_, count, known) = try_join3(
        client.query("SELECT pg_advisory_xact_lock($1)", &lock),
        client.query_one("SELECT count(*) FROM sessions", &[]),
        client.query("SELECT id FROM sessions WHERE id = ANY ($1)", &known),
    )
    .await?;
    let mut known: HashSet<Vec<u8>> = known.iter().map(|row| row.get(0)).collect();
    let mut count = count.get::<_, i64>(0).cast_unsigned();
    let mut opened = Vec::new();
    for change in changes {
        let id = &change.id().0[..];
        match change {
            SessionChange::Open { .. } if count >= Session::MAX => opened.push(SessionOpening::Full),
            SessionChange::Open { .. } if known.contains(id) => opened.push(SessionOpening::Taken),
            SessionChange::Open { .. } => {
                known.insert(id.to_vec());
                count += 1;
                opened.push(SessionOpening::Kept);
            }
            // Another replica may close it before us: then there is room that is not used.
            SessionChange::Close { .. } if known.remove(id) => count -= 1,
            SessionChange::Saw { .. } | SessionChange::Close { .. } => {}
        }
    }
    Ok(opened)
}

/// Changes the sessions of `writes`, of which those are opened that `opened` says.
pub(super) fn change<'a>(
    pipeline: &mut Pipeline<'a>,
    client: &'a Client,
    writes: &'a Writes,
    opened: &[SessionOpening],
) {
    let mut opened = opened.iter();
    let kept = writes.sessions.iter().filter(|change| match change {
        SessionChange::Open { .. } => opened.next() == Some(&SessionOpening::Kept),
        SessionChange::Saw { .. } | SessionChange::Close { .. } => true,
    });
    let mut changes: Vec<_> = kept.collect();
    // In one order for all replicas, so that none waits for another that waits for it; those of one session in theirs.
    changes.sort_by_key(|change| change.id());
    for change in changes {
        pipeline.push(one(client, change));
    }
}

/// Forgets some of those that are over at `now` or were last seen before `idle_since`; 0 where nothing is left for us.
pub(super) async fn forget(client: &Client, now: Timestamp, idle_since: Timestamp) -> Result<u64, Error> {
    let sql = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE until <= $1 OR seen < $2
        LIMIT $3 FOR UPDATE SKIP LOCKED)";
    let (now, idle_since) = (now.as_microsecond(), idle_since.as_microsecond());
    client.execute(sql, &[(&now, Type::INT8), (&idle_since, Type::INT8), (&PART, Type::INT8)]).await
}

pub(super) async fn find(client: &Client, id: SessionId) -> Result<Option<SessionRow>, Error> {
    let sql = "SELECT content, until, seen FROM sessions WHERE id = $1";
    let row = client.query_opt(sql, &[(&&id.0[..], Type::BYTEA)]).await?;
    Ok(row.map(|row| SessionRow { content: row.get(0), until: row.get(1), seen: row.get(2) }))
}

async fn one(client: &Client, change: &SessionChange) -> Result<u64, Error> {
    let id = change.id();
    let id = &id.0[..];
    match change {
        SessionChange::Open { session: Session { content, until, seen }, .. } => {
            let sql = "INSERT INTO sessions (id, until, seen, content) VALUES ($1, $2, $3, $4)
                ON CONFLICT DO NOTHING";
            let (until, seen) = (until.as_microsecond(), seen.as_microsecond());
            let parameters: [(&(dyn ToSql + Sync), Type); 4] =
                [(&id, Type::BYTEA), (&until, Type::INT8), (&seen, Type::INT8), (content, Type::BYTEA)];
            client.execute(sql, &parameters).await
        }
        SessionChange::Saw { seen, .. } => {
            let sql = "UPDATE sessions SET seen = $2 WHERE id = $1 AND seen < $2";
            client.execute(sql, &[(&id, Type::BYTEA), (&seen.as_microsecond(), Type::INT8)]).await
        }
        SessionChange::Close { .. } => {
            client.execute("DELETE FROM sessions WHERE id = $1", &[(&id, Type::BYTEA)]).await
        }
    }
}
