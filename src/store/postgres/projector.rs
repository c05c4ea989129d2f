//! What fills the search index: one replica at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::types::Type;

use super::client::Client;
use super::database::Database;
use super::schema::SEARCH_TABLES;
use super::search::{PostgresView, Set, State, write};
use crate::domain::Digest;
use crate::ports::{LogError, LoggedEntry, Projector, SearchProgress, Step};
use crate::store::search::{
    Changes, Following, Meta, STEP_BYTES, SearchFault, Standing, View as _, archived, project,
};

/// Fills the index as long as its session has the lock. Whoever has it not looks now and then whether it is free.
pub(super) struct PostgresProjector {
    database: Arc<Database>,
    /// Somebody has read what was never written.
    damaged: Arc<AtomicBool>,
    session: Option<Session>,
    /// Has been asked for and not yet passed on.
    rebuild: bool,
}

struct Session {
    client: Client,
    /// Whether the lock is ours, until the connection ends.
    is_ours: bool,
    standings: [Option<Standing>; 2],
}

/// Whoever has it, in this database and schema, fills the index.
const LOCK: i64 = 0x7369_676e_6574_0003;

/// How often to look for entries, of other replicas and of this one: a step rewrites what the one before it has written last,
/// and costs nearly the same for one entry as for some hundred.
const POLL: Duration = Duration::from_millis(200);

/// Entries of one step, and of one reading.
const STEP: usize = 5000;
const READING: usize = 500;

impl PostgresProjector {
    pub(super) const fn new(database: Arc<Database>, damaged: Arc<AtomicBool>) -> Self {
        Self { database, damaged, session: None, rebuild: false }
    }

    fn try_step(&mut self) -> Result<Step, SearchFault> {
        let session = match self.session.take() {
            Some(session) if !session.client.is_closed() => session,
            _ => {
                let client = self.database.wait(self.database.connector.connect())?;
                Session { client, is_ours: false, standings: [None, None] }
            }
        };
        let database = self.database.clone();
        // Where a step fails, the connection ends, and the lock with it: another replica may fare better.
        let mut session = session;
        let step = session.step(&database, &mut self.rebuild, &self.damaged)?;
        let Session { client, is_ours, standings } = session;
        let client = self.database.wait(client.learned(self.database.connector.patience()));
        self.session = client.map(|client| Session { client, is_ours, standings });
        Ok(step)
    }
}

impl Projector for PostgresProjector {
    fn step(&mut self) -> Result<Step, LogError> {
        let step = self.try_step();
        if let Err(SearchFault::Damaged(_)) = &step {
            self.damaged.store(true, Ordering::Relaxed);
        }
        Ok(step?)
    }

    fn rebuild(&mut self) {
        self.rebuild = true;
    }

    fn poll(&self) -> Option<Duration> {
        Some(POLL)
    }
}

impl Session {
    fn step(
        &mut self,
        database: &Database,
        rebuild: &mut bool,
        damaged: &AtomicBool,
    ) -> Result<Step, SearchFault> {
        let view = PostgresView::patient(&self.client, database, Set::A);
        if damaged.load(Ordering::Relaxed) {
            view.run("UPDATE search_state SET wanted = 'start-over'")?;
            damaged.store(false, Ordering::Relaxed);
        }
        if *rebuild {
            view.run("UPDATE search_state SET wanted = 'rebuild' WHERE wanted IS NULL")?;
            *rebuild = false;
        }
        if !self.is_ours {
            let locked = view.query("SELECT pg_try_advisory_lock($1)", &[(&LOCK, Type::INT8)])?;
            self.is_ours = locked.first().is_some_and(|row| row.get(0));
            self.standings = [None, None];
        }
        let state = view.state()?;
        let nothing = |indexed| Step {
            progress: SearchProgress { log_size: state.log_size, indexed },
            added: 0,
            more: false,
        };
        if !self.is_ours {
            let meta = Meta::read(&PostgresView::patient(&self.client, database, state.live))?;
            return Ok(nothing(meta.map_or(0, |meta| meta.indexed)));
        }
        let standing = self.standings[state.live as usize].as_ref();
        if let Some(standing) = standing
            && standing.meta.indexed == state.log_size
            && state.wanted.is_none()
            && !state.is_building
        {
            return Ok(nothing(standing.meta.indexed));
        }
        self.work(database)
    }

    /// One transaction, which nobody else can be in.
    fn work(&mut self, database: &Database) -> Result<Step, SearchFault> {
        let Self { client, standings, .. } = self;
        let view = |set| PostgresView::patient(client, database, set);
        let any = view(Set::A);
        any.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT FROM search_state FOR UPDATE")?;
        let mut state = any.state()?;
        obey(&any, &mut state, standings)?;
        let mut step = fill(&view(state.live), &state, &mut standings[state.live as usize])?;
        let indexed = step.progress.indexed;
        let forget = "DELETE FROM recent WHERE idx < $1";
        any.query(forget, &[(&indexed.cast_signed(), Type::INT8)])?;
        if state.is_building {
            let next = state.live.other();
            let ahead = fill(&view(next), &state, &mut standings[next as usize])?;
            step.more |= ahead.more;
            step.added += ahead.added;
            if ahead.progress.indexed >= indexed {
                let (next, old) = (next.name(), state.live.name());
                any.run(&format!(
                    "UPDATE search_state SET live = '{next}', building = false;
                    TRUNCATE search_small_{old}, search_large_{old}"
                ))?;
                standings[state.live as usize] = None;
                tracing::info!("the search index was made again");
            }
        }
        any.run("COMMIT")?;
        Ok(step)
    }
}

/// Does what somebody has asked for.
fn obey(
    view: &PostgresView<'_>,
    state: &mut State,
    standings: &mut [Option<Standing>; 2],
) -> Result<(), SearchFault> {
    match state.wanted.take().as_deref() {
        None => return Ok(()),
        Some("rebuild") => {
            let next = state.live.other();
            let name = next.name();
            view.run(&format!("TRUNCATE search_small_{name}, search_large_{name}"))?;
            view.run("UPDATE search_state SET building = true, wanted = NULL")?;
            standings[next as usize] = None;
            state.is_building = true;
        }
        Some(_) => {
            tracing::error!("the search index is damaged and is made again");
            view.run(
                "DROP TABLE IF EXISTS search_small_a, search_small_b, search_large_a, search_large_b;
                UPDATE search_state SET live = 'a', building = false, wanted = NULL,
                    floor = (SELECT size FROM head)",
            )?;
            view.run(SEARCH_TABLES)?;
            *standings = [None, None];
            (state.live, state.is_building) = (Set::A, false);
        }
    }
    Ok(())
}

/// Adds some of the entries that a set lacks.
fn fill(view: &PostgresView<'_>, state: &State, known: &mut Option<Standing>) -> Result<Step, SearchFault> {
    let mut standing = match known.take() {
        Some(standing) => standing,
        None => stand(view)?,
    };
    let (mut entries, mut bytes) = (Vec::<LoggedEntry>::new(), 0);
    while bytes < STEP_BYTES && entries.len() < STEP {
        let from = entries.last().map_or(standing.meta.indexed, |entry| entry.index + 1);
        let read = view.next(from, READING)?;
        let is_last = read.len() < READING;
        bytes += read.iter().map(|entry| entry.bytes.len()).sum::<usize>();
        entries.extend(read);
        if is_last {
            break;
        }
    }
    let entries = match entries.first() {
        Some(entry) if entry.index == standing.meta.indexed => {
            entries.into_iter().map(Following::Read).collect()
        }
        _ => archived(view, standing.meta.indexed)?,
    };
    if !entries.is_empty() {
        let changes = project(view, &mut standing, &entries)?;
        write(view, &changes)?;
    }
    let indexed = standing.meta.indexed;
    let log_size = state.log_size.max(indexed);
    *known = Some(standing);
    let progress = SearchProgress { log_size, indexed };
    Ok(Step { progress, added: entries.len() as u64, more: indexed < log_size })
}

/// Where the set stands. It has to be of this log: its last entry is the log's.
fn stand(view: &PostgresView<'_>) -> Result<Standing, SearchFault> {
    let meta = match Meta::read(view)? {
        Some(meta) => meta,
        None => {
            let mut changes = Changes::default();
            let meta = Meta::new(rand::random());
            meta.write(&mut changes);
            write(view, &changes)?;
            meta
        }
    };
    if let Some(last) = meta.indexed.checked_sub(1) {
        let entry = view.entries(&[last])?.pop();
        if entry.is_none_or(|entry| Digest::of(&entry.bytes) != meta.last) {
            return Err(SearchFault::damaged("it is of another log"));
        }
    }
    Standing::read(view, meta)
}
