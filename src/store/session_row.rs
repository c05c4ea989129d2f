//! What a database keeps of a session, whatever the database.

use crate::domain::Timestamp;
use crate::ports::{LogError, Session};

/// A session that is kept. Times are microseconds since 1970.
pub(super) struct SessionRow {
    pub(super) content: Vec<u8>,
    pub(super) until: i64,
    pub(super) seen: i64,
}

impl SessionRow {
    /// # Errors
    /// Where it is none that a store has written: in doubt, nobody is logged in.
    pub(super) fn session(self) -> Result<Session, LogError> {
        let time = |time| {
            Timestamp::from_microsecond(time)
                .map_err(|error| LogError(format!("a session can not be read: {error}")))
        };
        Ok(Session { content: self.content, until: time(self.until)?, seen: time(self.seen)? })
    }
}
