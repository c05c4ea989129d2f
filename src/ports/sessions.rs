use std::fmt;

use async_trait::async_trait;

use super::LogError;
use crate::domain::Timestamp;

/// Names a session without being able to open it: the SHA-256 of a secret that the browser alone holds. Who reads the
/// database learns no secret from it, as long as the secret is random and has 128 bits or more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 32]);

/// A session of somebody who looks at the log in a browser, as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// What the owner of the session put there: JSON, at most [`Session::MAX_BYTES`]. The store does not look at it.
    pub content: Vec<u8>,
    /// From this moment on there is no such session. Kept to the microsecond.
    pub until: Timestamp,
    /// When it was last used. Kept to the microsecond.
    pub seen: Timestamp,
}

/// A change of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionChange {
    /// Whether it is kept is told by [`super::Written::opened`].
    Open { id: SessionId, session: Session },
    /// It was used. Nothing where there is none, or it was used later already.
    Saw { id: SessionId, seen: Timestamp },
    /// Nothing where there is none.
    Close { id: SessionId },
}

/// What became of a [`SessionChange::Open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionOpening {
    /// It is there now.
    Kept,
    /// It is not kept: there are [`Session::MAX`] already.
    Full,
    /// It is not kept: there is one of this name, which stays as it is.
    Taken,
}

/// Sessions: durable, and the same for all replicas.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Keeps a new session, durably.
    ///
    /// # Errors
    /// Where it could not be made durable, its content is larger than [`Session::MAX_BYTES`], there are [`Session::MAX`]
    /// already, or one of this name.
    async fn open_session(&self, id: SessionId, session: Session) -> Result<(), LogError>;

    /// The session; none where there is none, or it was closed. Whether it is over at some moment is for the caller to say.
    ///
    /// # Errors
    /// Where it can not be read. Then nobody is logged in.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, LogError>;

    /// Notes that it was used at `seen`. Nothing where it was closed meanwhile. Never goes back in time. It is a write: who is
    /// asked many times a minute need not note each of them.
    ///
    /// # Errors
    /// Where it could not be made durable.
    async fn saw_session(&self, id: SessionId, seen: Timestamp) -> Result<(), LogError>;

    /// Ends it, durably: nobody finds it any more, on whichever replica. Nothing where there is none.
    ///
    /// # Errors
    /// Where it could not be made durable: it may still be there.
    async fn close_session(&self, id: SessionId) -> Result<(), LogError>;

    /// Forgets sessions that are over at `now`, or were last seen before `idle_since`; returns how many.
    ///
    /// # Errors
    /// Where some of them may still be there.
    async fn forget_sessions(&self, now: Timestamp, idle_since: Timestamp) -> Result<u64, LogError>;
}

impl Session {
    /// Bytes of the content.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Sessions that are kept at once. Those that are over count until they are forgotten.
    pub const MAX: u64 = 100_000;
}

impl SessionChange {
    /// Which session it changes.
    pub const fn id(&self) -> SessionId {
        match self {
            Self::Open { id, .. } | Self::Saw { id, .. } | Self::Close { id } => *id,
        }
    }

    /// Bytes of the content that it keeps.
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Open { session, .. } => session.content.len(),
            Self::Saw { .. } | Self::Close { .. } => 0,
        }
    }
}

impl fmt::Debug for SessionId {
    /// Enough to tell sessions apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        write!(f, "SessionId({first:02x}{second:02x}{third:02x}{fourth:02x}…)")
    }
}

impl fmt::Debug for Session {
    /// Without the content, which has claims of a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { content, until, seen } = self;
        let content = format_args!("{} bytes", content.len());
        f.debug_struct("Session")
            .field("content", &content)
            .field("until", until)
            .field("seen", seen)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_whole_name_nor_the_content_is_shown() {
        let id = SessionId([0xab; 32]);
        let content = b"{\"email\":\"ada@example.com\"}".to_vec();
        let session = Session { content, until: Timestamp::MAX, seen: Timestamp::MIN };
        let shown = format!("{:?}", SessionChange::Open { id, session });
        assert!(shown.contains("SessionId(abababab…)") && shown.contains("27 bytes"), "{shown}");
        assert!(!shown.contains("ada") && !shown.contains("97, 100, 97"), "{shown}");
    }
}
