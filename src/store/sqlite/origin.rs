//! The log's name.

use rusqlite::Connection;

/// The name that is kept; `wanted` where there is none yet, which is durable then.
pub(super) fn settle(connection: &Connection, wanted: &str) -> rusqlite::Result<String> {
    connection.execute("INSERT INTO origin VALUES (1, ?1) ON CONFLICT DO NOTHING", [wanted])?;
    connection.query_row("SELECT origin FROM origin", [], |row| row.get(0))
}
