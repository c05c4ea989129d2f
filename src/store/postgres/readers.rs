//! The reading half over PostgreSQL.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::client::Client;
use super::database::Database;
use super::fault::{Fault, within};
use super::patience::Patience;
use super::search::{Known, PostgresView, Set, State, logged};
use super::{archive, outbox, retention, sessions, tree};
use crate::domain::{KeyName, Reach, SignatureId, SignatureIdentity};
use crate::ports::{
    ArchivedVersion, CountQuery, Counts, Delivery, EntryPage, EntryQuery, Extent, LogError, LoggedEntry,
    SearchProgress, Session, SessionId, SignaturePage, SignatureQuery, SignaturesOf, SignedCheckpoint,
    StoreReader, Waiting,
};
use crate::store::archive_row;
use crate::store::search::{self, Dictionary, Meta, SearchFault, View as _};
use crate::store::session_row::SessionRow;
use crate::store::tree_row::CheckpointRow;
use crate::tlog::{TileId, TreeHead};

/// Connections that only read. They neither wait for the writers nor hold them up.
pub(super) struct Readers {
    database: Arc<Database>,
    connections: usize,
    turns: Semaphore,
    idle: Mutex<Vec<Client>>,
    patience: Patience,
    dictionary: Mutex<Arc<Dictionary>>,
    /// The set that has answered last, which most probably answers next.
    live: Mutex<Set>,
    /// The search index has answered what was never written.
    damaged: Arc<AtomicBool>,
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
            dictionary: Mutex::default(),
            live: Mutex::new(Set::A),
            damaged: Arc::default(),
        }
    }

    /// Set where the search index has to be made again.
    pub(super) fn damaged(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.damaged)
    }

    /// Asks one question of one statement.
    fn ask<T>(&self, ask: impl AsyncFn(&Client) -> Result<T, Error>) -> Result<T, LogError> {
        let patience = self.database.connector.patience();
        self.on_a_connection(|client| Ok(self.database.wait(within(patience, ask(client)))?))
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

    /// Asks the search index and the log, as they are at one moment.
    fn search<T>(
        &self,
        ask: impl Fn(&PostgresView<'_>, &State, &Meta, &Dictionary) -> Result<T, SearchFault>,
    ) -> Result<T, LogError> {
        self.on_a_connection(|client| self.search_on(client, &ask))
    }

    /// Asks over one of the connections, and again over another where that may help: asking twice is harmless. A connection
    /// that met an error is not used again.
    fn on_a_connection<T>(&self, ask: impl Fn(&Client) -> Result<T, SearchFault>) -> Result<T, LogError> {
        let turn = self.database.wait(self.turns.acquire());
        let _turn = turn.map_err(|_| LogError("reading has ended".to_owned()))?;
        let mut attempt = 0;
        loop {
            let client = match self.take_idle() {
                Some(client) => Ok(client),
                None => self.database.wait(self.database.connector.connect()),
            };
            let answer = client.map_err(SearchFault::from).and_then(|client| {
                let answer = ask(&client)?;
                Ok((client, answer))
            });
            match answer {
                Ok((client, answer)) => {
                    self.patience.succeeded();
                    let client = self.database.wait(client.learned(self.database.connector.patience()));
                    self.idle().extend(client);
                    return Ok(answer);
                }
                Err(SearchFault::Failed { reason, transient }) => {
                    attempt += 1;
                    self.database.wait(self.patience.pause(Fault { reason, transient }, attempt))?;
                }
                Err(damaged) => {
                    self.damaged.store(true, Ordering::Relaxed);
                    return Err(damaged.into());
                }
            }
        }
    }

    fn search_on<T>(
        &self,
        client: &Client,
        ask: impl Fn(&PostgresView<'_>, &State, &Meta, &Dictionary) -> Result<T, SearchFault>,
    ) -> Result<T, SearchFault> {
        let likely = PostgresView::new(client, &self.database, *self.live());
        let (state, meta) = likely.begin()?;
        let view = PostgresView { set: state.live, ..likely };
        let meta = if state.live == likely.set { meta } else { Meta::read(&view)? };
        *self.live() = state.live;
        // Another set may have come in its place since the transaction began, or there is none yet.
        let meta = meta.ok_or_else(being_made)?;
        let dictionary = self.dictionary(&view, &meta)?;
        let answer = ask(&view, &state, &meta, &dictionary)?;
        view.run("COMMIT")?;
        Ok(answer)
    }

    fn dictionary(&self, view: &PostgresView<'_>, meta: &Meta) -> Result<Arc<Dictionary>, SearchFault> {
        let known = Arc::clone(&self.dictionary.lock().unwrap_or_else(PoisonError::into_inner));
        if known.knows(meta) {
            return Ok(known);
        }
        // Nobody waits for the database while holding the lock.
        let mut dictionary = Dictionary::clone(&known);
        dictionary.follow(view, meta)?;
        let dictionary = Arc::new(dictionary);
        *self.dictionary.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&dictionary);
        Ok(dictionary)
    }

    /// Asks for signatures that may be in what the index does not know yet: `ask` is told which entries there are.
    fn look_up<T>(
        &self,
        column: &'static str,
        value: (&(dyn ToSql + Sync), Type),
        ask: impl Fn(&PostgresView<'_>, &Dictionary, Vec<u64>) -> Result<T, SearchFault>,
    ) -> Result<T, LogError> {
        self.search(|view, state, meta, dictionary| {
            meta.reaches(state.floor)?;
            // An order would have PostgreSQL follow another index.
            let sql = format!("SELECT idx FROM recent WHERE {column} = $1");
            let recent = view.query(&sql, &[(value.0, value.1.clone())])?;
            let mut recent: Vec<_> = recent.iter().map(|row| row.get::<_, i64>(0).cast_unsigned()).collect();
            recent.sort_unstable();
            ask(view, dictionary, recent)
        })
    }

    /// Which of `identities` the log may have signatures of. Nobody has most of them, and they cost one question together.
    fn known(&self, identities: &[SignatureIdentity]) -> Result<Vec<bool>, LogError> {
        self.on_a_connection(|client| {
            loop {
                let set = *self.live();
                let view = PostgresView::new(client, &self.database, set);
                let Known { live, floor, meta, known } = view.known(identities)?;
                if live == set {
                    meta.ok_or_else(being_made)?.reaches(floor)?;
                    return Ok(known);
                }
                *self.live() = live;
            }
        })
    }

    fn of_identity(&self, identity: SignatureIdentity) -> Result<Vec<LoggedEntry>, LogError> {
        let bytes = &identity.as_bytes()[..];
        let newest = self.look_up("identity", (&bytes, Type::BYTEA), |view, _, recent| {
            search::of_identities(view, &[(identity, recent.last().copied())])
        })?;
        match newest.first().copied().flatten() {
            Some(id) => self.of_signature(id),
            None => Ok(Vec::new()),
        }
    }

    fn live(&self) -> MutexGuard<'_, Set> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Client> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).find(|client| !client.is_closed())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Client>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn being_made() -> Fault {
    Fault::transient("the search index is being made")
}

impl StoreReader for Readers {
    fn width(&self) -> usize {
        self.connections
    }

    fn entry(&self, index: u64) -> Result<Option<LoggedEntry>, LogError> {
        let Ok(index) = i64::try_from(index) else { return Ok(None) };
        self.ask(async |client| {
            let sql = "SELECT idx, bytes FROM entries WHERE idx = $1";
            let row = client.query_opt(sql, &[(&index, Type::INT8)]).await?;
            Ok(row.as_ref().map(logged))
        })
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
        let name = Uuid::from_bytes(*id.as_bytes());
        self.look_up("signature_id", (&name, Type::UUID), |view, _, recent| {
            search::telling(view, &[search::of_signature(view, id)?, recent].concat())
        })
    }

    fn of_identities(&self, identities: &[SignatureIdentity]) -> Result<Vec<Vec<LoggedEntry>>, LogError> {
        let known = self.known(identities)?;
        let each = identities.iter().zip(known);
        each.map(|(identity, known)| if known { self.of_identity(*identity) } else { Ok(Vec::new()) })
            .collect()
    }

    fn of_subject(&self, of: &SignaturesOf) -> Result<Vec<LoggedEntry>, LogError> {
        let digest = &of.subject.digest.as_bytes()[..];
        self.look_up("digest", (&digest, Type::BYTEA), |view, dictionary, recent| {
            view.entries(&[search::of_subject(view, dictionary, of)?, recent].concat())
        })
    }

    fn query(&self, query: &EntryQuery, reach: &Reach) -> Result<EntryPage, LogError> {
        self.search(|view, state, meta, dictionary| {
            search::page(view, meta, dictionary, state.log_size, query, reach)
        })
    }

    fn signatures(&self, query: &SignatureQuery, reach: &Reach) -> Result<SignaturePage, LogError> {
        self.search(|view, state, meta, dictionary| {
            search::signatures(view, meta, dictionary, state.log_size, query, reach)
        })
    }

    fn counts(&self, query: &CountQuery, reach: &Reach) -> Result<Counts, LogError> {
        self.search(|view, state, meta, dictionary| {
            search::counts(view, meta, dictionary, state.log_size, query, reach)
        })
    }

    fn progress(&self) -> Result<SearchProgress, LogError> {
        self.search(|_, state, meta, _| {
            Ok(SearchProgress { log_size: state.log_size, indexed: meta.indexed })
        })
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

    fn session(&self, id: SessionId) -> Result<Option<Session>, LogError> {
        let row = self.ask(async |client| sessions::find(client, id).await)?;
        row.map(SessionRow::session).transpose()
    }
}
