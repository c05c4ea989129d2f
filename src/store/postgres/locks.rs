//! Locks between replicas.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::database::Database;
use super::fault::{Fault, within};
use crate::domain::{Digest, ImageReference};
use crate::ports::{LogError, SharedLock, SharedLocks};

/// Advisory locks of one session, on a connection of their own.
/// <https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS>
///
/// A session may lock the same image several times: between callers of one process these locks keep nobody out,
/// as [`SharedLocks::lock`] says. Two images whose digests begin alike share a lock, which costs time and nothing
/// else. When the connection dies, PostgreSQL gives back all that it held: who holds a lock then finishes beside
/// whoever comes next, and what they write over each other is found when it is read back, and looked at again later.
pub(super) struct AdvisoryLocks {
    database: Arc<Database>,
    session: Arc<Mutex<Option<Arc<Client>>>>,
}

/// How long a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first and the longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

impl AdvisoryLocks {
    pub(super) fn of(database: Arc<Database>) -> Self {
        Self { database, session: Arc::default() }
    }
}

#[async_trait]
impl SharedLocks for AdvisoryLocks {
    /// # Errors
    /// Also where somebody else has held it for a minute.
    async fn lock(&self, image: &ImageReference) -> Result<SharedLock, LogError> {
        let key = key(&format!("image {image}"));
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        loop {
            if let Some(lock) = self.attempt(key).await? {
                return Ok(Box::new(lock));
            }
            if Instant::now() >= deadline {
                return Err(LogError(format!(
                    "another replica has held the lock of {image} for {PATIENCE:?}"
                )));
            }
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = PAUSES.1.min(pause * 2);
        }
    }

    async fn lock_work(&self, work: &str) -> Result<Option<SharedLock>, LogError> {
        let held = self.attempt(key(&format!("work {work}"))).await?;
        Ok(held.map(|held| Box::new(held) as SharedLock))
    }
}

impl AdvisoryLocks {
    /// One attempt, in a task of its own: where the caller goes away meanwhile, what was got is given back.
    async fn attempt(&self, key: i64) -> Result<Option<Held>, LogError> {
        let (answer, answered) = oneshot::channel();
        let (database, session) = (self.database.clone(), self.session.clone());
        self.database.handle().spawn(async move {
            drop(answer.send(attempt(database, &session, key).await));
        });
        let attempted = answered.await.map_err(|_| LogError("locking has ended".to_owned()))?;
        Ok(attempted?)
    }
}

/// A connection that had died is replaced once; with it died what it held.
async fn attempt(
    database: Arc<Database>,
    session: &Mutex<Option<Arc<Client>>>,
    key: i64,
) -> Result<Option<Held>, Fault> {
    loop {
        let (client, is_new) = client(&database, session).await?;
        let sql = "SELECT pg_try_advisory_lock($1)";
        let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&key, Type::INT8)];
        let locked = client.query_one(sql, &parameters);
        match within(database.connector.patience(), locked).await {
            Ok(row) if row.get(0) => return Ok(Some(Held { database, client, key })),
            Ok(_) => return Ok(None),
            Err(fault) => {
                forget(session, &client).await;
                if is_new || !fault.transient {
                    return Err(fault);
                }
            }
        }
    }
}

/// The connection that is there, or a new one.
async fn client(
    database: &Database,
    session: &Mutex<Option<Arc<Client>>>,
) -> Result<(Arc<Client>, bool), Fault> {
    let mut session = session.lock().await;
    if let Some(client) = &*session
        && !client.is_closed()
    {
        return Ok((client.clone(), false));
    }
    let client = Arc::new(database.connector.connect().await?);
    *session = Some(client.clone());
    Ok((client, true))
}

/// Uses `client` no more, unless it has been replaced already.
async fn forget(session: &Mutex<Option<Arc<Client>>>, client: &Arc<Client>) {
    let mut session = session.lock().await;
    if session.as_ref().is_some_and(|current| Arc::ptr_eq(current, client)) {
        *session = None;
    }
}

/// A lock that is held, on the connection that got it.
struct Held {
    database: Arc<Database>,
    client: Arc<Client>,
    key: i64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (client, key) = (self.client.clone(), self.key);
        self.database.handle().spawn(async move {
            let sql = "SELECT pg_advisory_unlock($1)";
            // Where the connection has died, so has the lock.
            let _ = client.query_one(sql, &[(&key, Type::INT8)]).await;
        });
    }
}

/// The beginning of the SHA-256 of the name of what is locked.
fn key(name: &str) -> i64 {
    let digest = Digest::of(format!("signet {name}").as_bytes());
    let (first, _) = digest.as_bytes().split_first_chunk().expect("invariant: SHA-256 has 32 bytes");
    i64::from_be_bytes(*first)
}
