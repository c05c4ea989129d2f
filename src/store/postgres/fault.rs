//! What went wrong, and whether trying again may help.

use std::future::Future;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::causes::causes;
use crate::ports::LogError;

/// The reason is for our log, and holds no secret: what the URL says is never part of it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) reason: String,
    /// Whether the same may succeed with another connection, a moment later.
    pub(super) transient: bool,
}

impl Fault {
    pub(super) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), transient: false }
    }

    pub(super) fn transient(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), transient: true }
    }
}

/// Waits for PostgreSQL, for at most `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Fault::transient(format!("PostgreSQL has not answered for {limit:?}"))),
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let reason = causes(&error);
            // What never reached the server, or was no answer of one, can be tried again; what we sent or read
            // wrongly stays wrong.
            let ours = ["serializing", "deserializing", "parameters", "column", "rows"];
            let transient = !ours.iter().any(|word| error.to_string().contains(word));
            return Self { reason, transient };
        };
        let reason = format!("PostgreSQL: {} ({})", said.message(), said.code().code());
        Self { reason, transient: is_transient(said.code()) }
    }
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        Self::lasting(error.0)
    }
}

impl From<Fault> for LogError {
    fn from(fault: Fault) -> Self {
        Self(fault.reason)
    }
}

/// Conflicts with other transactions, servers that start, stop or have become a standby, time that was up, and statements
/// that a connection knows by a name that do not hold any more, because the tables have changed or a pooler has passed
/// them to another server's session.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn is_transient(code: &SqlState) -> bool {
    // Connection exceptions, rolled-back transactions, lacking resources, an operator's intervention.
    let classes = ["08", "40", "53", "57"];
    classes.iter().any(|class| code.code().starts_with(class))
        || [SqlState::LOCK_NOT_AVAILABLE, SqlState::READ_ONLY_SQL_TRANSACTION].contains(code)
        || [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::FEATURE_NOT_SUPPORTED].contains(code)
}
