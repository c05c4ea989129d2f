//! A store for any number of replicas: PostgreSQL.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | [`PostgresStore`], the writing half |
//! | `write` | one transaction |
//! | `entries`, `tree`, `outbox`, `idempotency`, `archive`, `quotas`, `sessions` | the statements of each part |
//! | `readers` | the reading half |
//! | `search`, `projector` | the search index, and what fills it |
//! | `retention`, `origin` | marks, and what is archived; the log's name |
//! | `locks` | locks between replicas |
//! | `schema` | the tables, and how they come to be |
//! | `connector`, `client`, `database` | connections, what they know, and where they live |
//! | `fault`, `patience` | what goes wrong, and how long it is tried again |
//! | `pipeline`, `text` | statements at once; texts |

mod archive;
mod client;
mod connector;
mod database;
mod entries;
mod fault;
mod idempotency;
mod locks;
mod origin;
mod outbox;
mod patience;
mod pipeline;
mod projector;
mod quotas;
mod readers;
mod retention;
mod schema;
mod search;
mod sessions;
mod text;
mod tree;
mod write;

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join;
use tokio::task::yield_now;
use uuid::Uuid;

use self::client::Client;
use self::connector::Connector;
use self::database::{Database, OwnRuntime};
use self::fault::{Fault, within};
use self::locks::AdvisoryLocks;
use self::patience::Patience;
use self::projector::PostgresProjector;
use self::readers::Readers;
use self::write::{Stamp, transact};
use super::StoreError;
use super::tree_row::Witness;
use crate::config::LogConfig;
use crate::domain::{SignatureId, Timestamp};
use crate::ports::{LogError, Projector, SharedLocks, Store, StoreReader, Writes, Written};
use crate::tlog::TreeHead;

/// A database that any number of processes write.
///
/// Each commit is synchronous, whatever the server's default. A connection that dies is replaced, and what was
/// under way is tried again for two seconds; so is a transaction that was in the way of another.
/// Where the connection was lost during a commit, its stamp tells whether it has happened (see the module
/// `write`). Only where nobody can be asked within the patience is an error returned for a commit that may have
/// happened: then an intent stands in the log whose signature was never asked for, or an outcome whose signature
/// is attached from the outbox although its caller was told that it is not durable, and who asks again
/// gets that same signature.
pub struct PostgresStore {
    /// For all others.
    database: Arc<Database>,
    /// The writer's own connection lives on the writer's thread, while it waits: no other has to be woken for an answer.
    runtime: OwnRuntime,
    client: Option<Client>,
    stamp: Stamp,
    witness: Witness,
    patience: Patience,
    readers: Arc<Readers>,
}

impl PostgresStore {
    /// Opens the database, and makes its tables where there are none.
    ///
    /// # Errors
    /// Also where it can not be reached.
    pub fn open(config: &LogConfig) -> Result<Self, StoreError> {
        let connector = Connector::new(config)?;
        let unavailable = |error: std::io::Error| StoreError::Postgres(error.to_string());
        let database = Database::new(connector).map_err(unavailable)?;
        let runtime = OwnRuntime::new().map_err(unavailable)?;
        let first = async {
            let client = database.connector.connect().await;
            let client = client.map_err(|fault| StoreError::Postgres(fault.reason))?;
            schema::prepare(&client).await?;
            let head = tree::open(&client).await?;
            Ok((client, head))
        };
        // Whoever opens may be a task of a runtime, whose thread must not wait.
        let client = std::thread::scope(|scope| scope.spawn(|| runtime.wait(first)).join());
        let (client, head) = client.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let database = Arc::new(database);
        let readers = Arc::new(Readers::of(database.clone(), config.connections));
        let stamp = Stamp { writer: Uuid::new_v4(), number: 0 };
        let witness = Witness::of(head);
        let patience = Patience::default();
        Ok(Self { database, runtime, client: Some(client), stamp, witness, patience, readers })
    }

    /// Only reads the database, and neither makes nor changes tables.
    ///
    /// # Errors
    /// Where the configuration leads nowhere.
    pub fn reader_of(config: &LogConfig) -> Result<Arc<dyn StoreReader>, StoreError> {
        let database = Database::new(Connector::new(config)?);
        let database = database.map_err(|error| StoreError::Postgres(error.to_string()))?;
        Ok(Arc::new(Readers::of(Arc::new(database), config.connections)))
    }

    /// Locks that hold between all who have this database open.
    pub fn locks(&self) -> Arc<dyn SharedLocks> {
        Arc::new(AdvisoryLocks::of(self.database.clone()))
    }

    /// Works, and again on a new connection where that may help. It has to be harmless to work twice.
    fn persist<T>(
        &mut self,
        work: impl AsyncFnMut(&Client, Duration) -> Result<T, Fault>,
    ) -> Result<T, LogError> {
        let Self { database, runtime, client, patience, .. } = self;
        runtime.wait(try_persist(&database.connector, client, patience, work)).map_err(LogError::from)
    }
}

async fn try_persist<T>(
    connector: &Connector,
    idle: &mut Option<Client>,
    patience: &Patience,
    mut work: impl AsyncFnMut(&Client, Duration) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut attempt = 0;
    loop {
        let client = match idle.take() {
            Some(client) if !client.is_closed() => Ok(client),
            _ => connector.connect().await,
        };
        let done = match client {
            Ok(client) => work(&client, connector.patience()).await.map(|done| (client, done)),
            Err(fault) => Err(fault),
        };
        match done {
            Ok((client, done)) => {
                patience.succeeded();
                *idle = client.learned(connector.patience()).await;
                return Ok(done);
            }
            // A connection that met an error is not used again: it may be in the midst of anything.
            Err(fault) => {
                attempt += 1;
                patience.pause(fault, attempt).await?;
            }
        }
    }
}

impl Store for PostgresStore {
    fn commit(&mut self, writes: &Writes) -> Result<Written, LogError> {
        self.stamp.number += 1;
        let stamp = self.stamp;
        let mut unknown = None;
        let mut witness = self.witness.clone();
        let written = self.persist(async |client, limit| {
            transact(client, limit, stamp, writes, &mut witness, &mut unknown).await
        });
        self.witness = witness;
        if let Ok(written) = &written {
            self.witness.committed(written.head);
        }
        written
    }

    /// What was taken by a call whose answer was lost comes again after `until`.
    fn take_due(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<SignatureId>, LogError> {
        self.persist(async |client, patience| {
            within(patience, outbox::take_due(client, now, until, limit)).await
        })
    }

    fn forget(&mut self, before: Timestamp) -> Result<u64, LogError> {
        self.persist(async |client, patience| within(patience, idempotency::forget(client, before)).await)
    }

    fn forget_uses(&mut self, before: Timestamp) -> Result<u64, LogError> {
        self.persist(async |client, patience| within(patience, quotas::forget(client, before)).await)
    }

    fn forget_sessions(&mut self, now: Timestamp, idle_since: Timestamp) -> Result<u64, LogError> {
        self.persist(async |client, patience| {
            within(patience, sessions::forget(client, now, idle_since)).await
        })
    }

    fn drop_archived(&mut self) -> Result<u64, LogError> {
        self.persist(async |client, patience| within(patience, retention::drop_some(client)).await)
    }

    fn probe(&mut self) -> Result<(), LogError> {
        self.stamp.number += 1;
        let stamp = self.stamp;
        let mut witness = self.witness.clone();
        let probed = self.persist(async |client, patience| {
            let probe = try_join(write::stamp(client, stamp), tree::head(client, false));
            let (_, head) = within(patience, probe).await?;
            witness.among_others(head.edge()?.head())?;
            Ok(())
        });
        self.witness = witness;
        probed
    }

    fn head(&self) -> TreeHead {
        self.witness.last()
    }

    fn verdict(&self) -> Result<(), LogError> {
        self.witness.verdict()
    }

    fn settle_origin(&mut self, wanted: &str) -> Result<String, LogError> {
        self.persist(async |client, patience| within(patience, origin::settle(client, wanted)).await)
    }

    /// The server tidies up by itself.
    fn close(&mut self) -> Result<(), LogError> {
        self.client = None;
        // The connection ends when it is served next.
        self.runtime.wait(yield_now());
        Ok(())
    }

    fn reader(&self) -> Arc<dyn StoreReader> {
        Arc::clone(&self.readers) as Arc<dyn StoreReader>
    }

    fn projector(&self) -> Box<dyn Projector> {
        Box::new(PostgresProjector::new(self.database.clone(), self.readers.damaged()))
    }
}
