//! Sessions of people who look at the log in a browser.

use async_trait::async_trait;

use super::GroupCommitLog;
use super::writer::Request;
use crate::domain::Timestamp;
use crate::ports::{LogError, Session, SessionChange, SessionId, SessionOpening, Sessions, Writes};

#[async_trait]
impl Sessions for GroupCommitLog {
    async fn open_session(&self, id: SessionId, session: Session) -> Result<(), LogError> {
        let bytes = session.content.len();
        if bytes > Session::MAX_BYTES {
            // It would fail the transaction, and with it everybody else's part of it.
            let most = Session::MAX_BYTES;
            return Err(LogError(format!("a session has at most {most} bytes, this one has {bytes}")));
        }
        let sessions = vec![SessionChange::Open { id, session }];
        let mut written = self.write(Writes { sessions, ..Writes::default() }).await?;
        match written.opened.pop() {
            Some(SessionOpening::Kept) => Ok(()),
            Some(SessionOpening::Full) => {
                Err(LogError(format!("there are {} sessions already", Session::MAX)))
            }
            Some(SessionOpening::Taken) => Err(LogError("there is such a session already".to_owned())),
            None => Err(LogError("the store gave no answer".to_owned())),
        }
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, LogError> {
        self.read(&self.lookups, move |reader| reader.session(id)).await
    }

    async fn saw_session(&self, id: SessionId, seen: Timestamp) -> Result<(), LogError> {
        let sessions = vec![SessionChange::Saw { id, seen }];
        self.write(Writes { sessions, ..Writes::default() }).await.map(drop)
    }

    async fn close_session(&self, id: SessionId) -> Result<(), LogError> {
        let sessions = vec![SessionChange::Close { id }];
        self.write(Writes { sessions, ..Writes::default() }).await.map(drop)
    }

    async fn forget_sessions(&self, now: Timestamp, idle_since: Timestamp) -> Result<u64, LogError> {
        self.ask_until_none(|answer| Request::ForgetSessions { now, idle_since, answer }).await
    }
}
