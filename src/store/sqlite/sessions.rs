//! Sessions of people who look at the log in a browser.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::domain::Timestamp;
use crate::ports::{Session, SessionChange, SessionId, SessionOpening};
use crate::store::session_row::SessionRow;

/// `id` is the SHA-256 of a secret that is kept nowhere here. The content stands last: it may be long, and what is forgotten is
/// told by the times. Times are microseconds since 1970.
pub(super) const STEP: &str = "
    CREATE TABLE sessions (
        id BLOB PRIMARY KEY CHECK (length(id) = 32),
        until INTEGER NOT NULL,
        seen INTEGER NOT NULL,
        content BLOB NOT NULL CHECK (length(content) <= 65536)
    ) STRICT;
    CREATE INDEX sessions_until ON sessions (until);
    CREATE INDEX sessions_seen ON sessions (seen);
";

/// Sessions that are forgotten in one transaction.
const PART: i64 = 1000;

/// Changes sessions, and tells of each that is to be opened what became of it.
pub(super) fn change(
    transaction: &Transaction<'_>,
    changes: &[SessionChange],
) -> rusqlite::Result<Vec<SessionOpening>> {
    let mut opened = Vec::new();
    let mut count = None;
    for change in changes {
        match change {
            SessionChange::Open { id, session } => {
                // Counted once, however many are opened together.
                let there = match count {
                    Some(there) => there,
                    None => self::count(transaction)?,
                };
                let outcome = open(transaction, *id, session, there)?;
                count = Some(there + u64::from(outcome == SessionOpening::Kept));
                opened.push(outcome);
            }
            SessionChange::Saw { id, seen } => {
                transaction
                    .prepare_cached("UPDATE sessions SET seen = ?2 WHERE id = ?1 AND seen < ?2")?
                    .execute((id.0, seen.as_microsecond()))?;
            }
            SessionChange::Close { id } => {
                let closed =
                    transaction.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([id.0])?;
                count = count.map(|there| there - closed as u64);
            }
        }
    }
    Ok(opened)
}

/// Forgets some of those that are over at `now` or were last seen before `idle_since`; 0 where nothing is left.
pub(super) fn forget(
    connection: &Connection,
    now: Timestamp,
    idle_since: Timestamp,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE rowid IN
            (SELECT rowid FROM sessions WHERE until <= ?1 OR seen < ?2 LIMIT ?3)",
        )?
        .execute((now.as_microsecond(), idle_since.as_microsecond(), PART))
}

pub(super) fn find(transaction: &Transaction<'_>, id: SessionId) -> rusqlite::Result<Option<SessionRow>> {
    transaction
        .prepare_cached("SELECT content, until, seen FROM sessions WHERE id = ?1")?
        .query_row([id.0], |row| {
            Ok(SessionRow { content: row.get(0)?, until: row.get(1)?, seen: row.get(2)? })
        })
        .optional()
}

fn open(
    transaction: &Transaction<'_>,
    id: SessionId,
    session: &Session,
    there: u64,
) -> rusqlite::Result<SessionOpening> {
    if there >= Session::MAX {
        return Ok(SessionOpening::Full);
    }
    let Session { content, until, seen } = session;
    let kept = transaction
        .prepare_cached(
            "INSERT INTO sessions (id, until, seen, content) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![id.0, until.as_microsecond(), seen.as_microsecond(), content])?;
    Ok(if kept == 1 { SessionOpening::Kept } else { SessionOpening::Taken })
}

fn count(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let count: i64 =
        transaction.prepare_cached("SELECT count(*) FROM sessions")?.query_row([], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}
