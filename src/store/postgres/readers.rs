//! The reading half over PostgreSQL.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_postgres::{Client, Error};

use super::database::Database;
use super::fault::{Fault, within};
use super::patience::Patience;
use super::{archive, outbox, retention, search, tree};
use crate::domain::{KeyName, SignatureId, SignatureIdentity};
use crate::ports::{
    ArchivedVersion, Delivery, EntryPage, EntryQuery, Extent, LogError, LoggedEntry, SignedCheckpoint,
    StoreReader, Waiting,
};
use crate::store::archive_row;
use crate::store::tree_row::CheckpointRow;
use crate::tlog::{TileId, TreeHead};

/// Connections that only read. They neither wait for the writers nor hold them up.
pub(super) struct Readers {
    database: Arc<Database>,
    connections: usize,
    turns: Semaphore,
    idle: Mutex<Vec<Client>>,
    patience: Patience,
}

impl Readers {
    pub(super) fn of(database: Arc<Database>, connections: usize) -> Self {
        let connections = connections.min(Semaphore::MAX_PERMITS);
        Self {
            database,
            connections,
            turns: Semaphore::new(connections),
            idle: Mutex::default(),
            patience: Patience::default(),
        }
    }

    /// Asks one question of one statement.
    fn ask<T>(&self, ask: impl AsyncFn(&Client) -> Result<T, Error>) -> Result<T, LogError> {
        self.database.wait(self.try_ask(ask)).map_err(LogError::from)
    }

    /// Asks within one transaction, so that every part of the answer is of the same moment.
    fn ask_at_once<T>(&self, ask: impl AsyncFn(&Client) -> Result<T, Error>) -> Result<T, LogError> {
        self.ask(async |client| {
            client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let answer = ask(client).await?;
            client.batch_execute("COMMIT").await?;
            Ok(answer)
        })
    }

    /// A connection that met an error is not used again. Asking twice is harmless.
    async fn try_ask<T>(&self, ask: impl AsyncFn(&Client) -> Result<T, Error>) -> Result<T, Fault> {
        let _turn = self.turns.acquire().await.map_err(|_| Fault::lasting("reading has ended"))?;
        let mut attempt = 0;
        loop {
            let client = match self.take_idle() {
                Some(client) => Ok(client),
                None => self.database.connector.connect().await,
            };
            let answer = match client {
                Ok(client) => {
                    let answer = within(self.database.connector.patience(), ask(&client)).await;
                    answer.map(|answer| (client, answer))
                }
                Err(fault) => Err(fault),
            };
            match answer {
                Ok((client, answer)) => {
                    self.idle().push(client);
                    self.patience.succeeded();
                    return Ok(answer);
                }
                Err(fault) => {
                    attempt += 1;
                    self.patience.pause(fault, attempt).await?;
                }
            }
        }
    }

    fn take_idle(&self) -> Option<Client> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).find(|client| !client.is_closed())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Client>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreReader for Readers {
    fn width(&self) -> usize {
        self.connections
    }

    fn entry(&self, index: u64) -> Result<Option<LoggedEntry>, LogError> {
        self.ask(async |client| search::entry(client, index).await)
    }

    fn entries(&self, first: u64, limit: usize) -> Result<Vec<LoggedEntry>, LogError> {
        let Ok(first) = i64::try_from(first) else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.ask(async |client| tree::entries(client, first, limit).await)
    }

    fn head(&self) -> Result<(TreeHead, Option<SignedCheckpoint>), LogError> {
        let (head, checkpoint) = self.ask(async |client| tree::published(client).await)?;
        Ok((head.edge()?.head(), checkpoint.map(CheckpointRow::checkpoint).transpose()?))
    }

    fn tiles(&self, tiles: &[TileId]) -> Result<Vec<Option<Vec<u8>>>, LogError> {
        let mut found = self.ask(async |client| tree::tiles(client, tiles).await)?;
        Ok(tiles.iter().map(|tile| found.remove(tile)).collect())
    }

    fn query(&self, query: &EntryQuery) -> Result<EntryPage, LogError> {
        self.ask_at_once(async |client| search::page(client, query).await)
    }

    fn extent(&self) -> Result<Extent, LogError> {
        self.ask(async |client| retention::extent(client).await)
    }

    fn mark(&self, name: &str) -> Result<Option<String>, LogError> {
        self.ask(async |client| retention::mark(client, name).await)
    }

    fn first_open(&self) -> Result<Option<u64>, LogError> {
        self.ask(async |client| retention::first_open(client).await)
    }

    fn of_signature(&self, id: SignatureId) -> Result<Vec<LoggedEntry>, LogError> {
        self.ask(async |client| search::of_signature(client, id).await)
    }

    fn of_identity(&self, identity: SignatureIdentity) -> Result<Vec<LoggedEntry>, LogError> {
        self.ask(async |client| search::of_identity(client, identity).await)
    }

    fn delivery(&self, id: SignatureId) -> Result<Option<Delivery>, LogError> {
        let found = self.ask_at_once(async |client| outbox::delivery(client, id).await)?;
        found.map(|(row, document)| row.with(document)).transpose()
    }

    fn waiting(&self) -> Result<Waiting, LogError> {
        self.ask(async |client| outbox::waiting(client).await)
    }

    fn archived(&self, key: &KeyName) -> Result<Vec<ArchivedVersion>, LogError> {
        archive_row::versions(key, self.ask(async |client| archive::of_key(client, key).await)?)
    }
}
