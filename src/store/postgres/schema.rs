//! What the database looks like.

use tokio_postgres::types::Type;

use super::client::Client;
use super::fault::Fault;
use super::{retention, sessions};
use crate::store::StoreError;

/// What leads from each version to the next; the first, from nothing. A step that has been released stays as it is.
const STEPS: [&str; 8] =
    [FIRST, SECOND, THIRD, SEARCH_BEHIND, SEARCH_TABLES, retention::STEP, ORIGIN, sessions::STEP];

/// `entries` is the log: appended to, never changed. The triggers hold that against everything that goes through
/// SQL, also where a session calls itself a replica. `head` has one row: whoever appends holds it until the
/// transaction ends, so indexes have no gaps, however many append. `search` was a projection of `entries`; nothing refers to `entries` with a foreign key, which would write to an entry
/// that is referred to. Texts that are long may not be indexed: their beginning is. Times are microseconds since
/// 1970; a stage is 0 for "attach", and n + 1 for "look again" number n. `writers` tells of each process that
/// writes which of its transactions was the last.
const FIRST: &str = "
    CREATE TABLE head (id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1), size bigint NOT NULL);
    INSERT INTO head (size) VALUES (0);
    CREATE TABLE writers (
        id uuid PRIMARY KEY,
        last bigint NOT NULL,
        touched timestamptz NOT NULL
    );

    CREATE TABLE entries (
        idx bigint PRIMARY KEY,
        bytes bytea NOT NULL CHECK (length(bytes) BETWEEN 1 AND 65535)
    );
    CREATE FUNCTION entries_follow() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        DECLARE
            first bigint; last bigint; many bigint;
        BEGIN
            SELECT min(idx), max(idx), count(*) INTO first, last, many FROM added;
            IF many > 0 AND (last - first + 1 <> many OR last + 1 <> (SELECT size FROM head) OR
                    first <> coalesce((SELECT max(idx) + 1 FROM entries WHERE idx < first), 0)) THEN
                RAISE EXCEPTION 'an entry has the index after the last one';
            END IF;
            RETURN NULL;
        END $$;
    CREATE TRIGGER entries_follow AFTER INSERT ON entries REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION entries_follow();
    CREATE FUNCTION entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'entries are neither changed nor deleted';
        END $$;
    CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
        FOR EACH STATEMENT EXECUTE FUNCTION entries_stay();
    ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_follow;
    ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_stay;

    CREATE TABLE search (
        idx bigint PRIMARY KEY,
        time bigint NOT NULL,
        latest bigint NOT NULL,
        lag bigint NOT NULL,
        kind text NOT NULL,
        operation text NOT NULL,
        repository text,
        digest bytea NOT NULL,
        principal text NOT NULL,
        key text,
        key_version bigint,
        signature_id uuid,
        identity bytea
    );
    CREATE INDEX search_kind ON search (kind, idx);
    CREATE INDEX search_repository ON search (left(repository, 500), idx) WHERE repository IS NOT NULL;
    CREATE INDEX search_digest ON search (digest, idx);
    CREATE INDEX search_principal ON search (left(principal, 500), idx);
    CREATE INDEX search_key ON search (key, idx) WHERE key IS NOT NULL;
    CREATE INDEX search_signature ON search (signature_id, idx) WHERE signature_id IS NOT NULL;
    CREATE INDEX search_identity ON search (identity, idx) WHERE identity IS NOT NULL;

    CREATE TABLE deliveries (
        id uuid PRIMARY KEY,
        idx bigint NOT NULL,
        replaces boolean NOT NULL,
        stage smallint NOT NULL,
        attempts bigint NOT NULL,
        due bigint NOT NULL,
        size bigint NOT NULL
    );
    CREATE INDEX deliveries_due ON deliveries (due, id);
    CREATE TABLE documents (
        id uuid NOT NULL,
        part integer NOT NULL,
        bytes bytea NOT NULL,
        PRIMARY KEY (id, part)
    );
    -- Documents are there for minutes: compressing them is not worth the time.
    ALTER TABLE documents ALTER bytes SET STORAGE EXTERNAL;

    CREATE TABLE idempotency (
        id bytea PRIMARY KEY,
        principal text NOT NULL,
        key text NOT NULL,
        request bytea NOT NULL,
        first_used bigint NOT NULL,
        status bigint,
        body bytea,
        location text
    );
    CREATE INDEX idempotency_first_used ON idempotency (first_used);

    CREATE TABLE archived_keys (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key text NOT NULL,
        version bigint NOT NULL,
        fingerprint bytea NOT NULL,
        pem text NOT NULL,
        created_at text NOT NULL,
        UNIQUE (key, version, fingerprint)
    );
";

/// How much of which budget was used: each slot of a budget counts until it expires.
const SECOND: &str = "
    CREATE TABLE uses (
        budget bytea NOT NULL,
        slot bigint NOT NULL,
        count bigint NOT NULL,
        expires bigint NOT NULL,
        PRIMARY KEY (budget, slot)
    );
    CREATE INDEX uses_expires ON uses (expires);
";

/// The tree over the entries. `head` becomes that of the tree, and counts what is hashed: what was there before is hashed by
/// the module `tree`, until it is complete. A Signet that knows nothing of the tree moves the size alone, and is
/// stopped. `checkpoint` has one row as soon as one was published. A tile is a row that grows until it has 256 hashes.
const THIRD: &str = "
    ALTER TABLE head
        ADD COLUMN root bytea NOT NULL DEFAULT '\\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
        ADD COLUMN edge bytea NOT NULL DEFAULT '',
        ADD COLUMN complete boolean NOT NULL DEFAULT false;
    UPDATE head SET size = 0, complete = NOT EXISTS (SELECT FROM entries);
    CREATE FUNCTION head_moves() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.size <> OLD.size AND NEW.root = OLD.root THEN
                RAISE EXCEPTION 'this Signet writes no tree: it is older than the database; use the newer one';
            END IF;
            RETURN NEW;
        END $$;
    CREATE TRIGGER head_moves BEFORE UPDATE ON head FOR EACH ROW EXECUTE FUNCTION head_moves();
    ALTER TABLE head ENABLE ALWAYS TRIGGER head_moves;
    CREATE TABLE tiles (
        level smallint NOT NULL,
        number bigint NOT NULL,
        hashes bytea NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192),
        PRIMARY KEY (level, number)
    );
    -- Hashes can not be compressed.
    ALTER TABLE tiles ALTER hashes SET STORAGE EXTERNAL;
    CREATE TABLE checkpoint (
        id integer PRIMARY KEY CHECK (id = 1),
        size bigint NOT NULL,
        root bytea NOT NULL CHECK (length(root) = 32),
        note text NOT NULL
    );
";

/// The search index follows the log: `recent` has what requests look up and the index does not know yet, from `floor`
/// on. `live` is the set of tables that answers.
const SEARCH_BEHIND: &str = "
    DROP TABLE search;
    CREATE TABLE recent (
        idx bigint PRIMARY KEY,
        signature_id uuid NOT NULL,
        identity bytea,
        digest bytea
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
    CREATE INDEX recent_signature ON recent (signature_id);
    CREATE INDEX recent_identity ON recent (identity) WHERE identity IS NOT NULL;
    CREATE INDEX recent_digest ON recent (digest) WHERE digest IS NOT NULL;
    CREATE TABLE search_state (
        id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
        live text NOT NULL CHECK (live IN ('a', 'b')),
        building boolean NOT NULL,
        floor bigint NOT NULL,
        wanted text
    );
    INSERT INTO search_state (live, building, floor) SELECT 'a', false, coalesce(max(idx) + 1, 0) FROM entries;
";

/// The two sets of the search index (see [`crate::store::search`]), which can be dropped and made again.
pub(super) const SEARCH_TABLES: &str = "
    CREATE TABLE search_small_a (k bytea PRIMARY KEY, v bytea NOT NULL);
    CREATE TABLE search_small_b (k bytea PRIMARY KEY, v bytea NOT NULL);
    CREATE TABLE search_large_a (k bigint PRIMARY KEY, v bytea NOT NULL);
    CREATE TABLE search_large_b (k bigint PRIMARY KEY, v bytea NOT NULL);
    -- They are read more often than disks are full.
    ALTER TABLE search_large_a ALTER v SET STORAGE EXTERNAL;
    ALTER TABLE search_large_b ALTER v SET STORAGE EXTERNAL;
";

/// The log's name, which stays.
const ORIGIN: &str = "
    CREATE TABLE origin (id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1), origin text NOT NULL);
";

/// Held while the schema is looked at and changed: of replicas that start at once, the others wait.
const LOCK: i64 = 0x7369_676e_6574_0001;

/// Makes the tables of an empty schema, brings those of an older Signet up to date, and refuses those of others.
pub(super) async fn prepare(client: &Client) -> Result<(), StoreError> {
    migrate(client).await?;
    check(client).await
}

/// All or nothing.
async fn migrate(client: &Client) -> Result<(), StoreError> {
    client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await.map_err(failed)?;
    client.execute("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await.map_err(failed)?;
    let version = version(client).await?;
    let known = STEPS.len() as i64;
    if version > known {
        return Err(StoreError::PostgresNewer { found: version, known });
    }
    let steps = usize::try_from(version).ok().and_then(|done| STEPS.get(done..)).unwrap_or_default();
    for step in steps {
        client.batch_execute(step).await.map_err(failed)?;
    }
    if !steps.is_empty() {
        client
            .execute("UPDATE signet_schema SET version = $1", &[(&known, Type::INT8)])
            .await
            .map_err(failed)?;
    }
    client.batch_execute("COMMIT").await.map_err(failed)
}

/// The version that is there; 0 for none.
async fn version(client: &Client) -> Result<i64, StoreError> {
    let sql = "SELECT to_regclass('signet_schema') IS NOT NULL AS ours, EXISTS (SELECT FROM pg_tables
        WHERE schemaname = current_schema() AND tablename IN ('head', 'entries', 'search', 'deliveries')) AS taken";
    let found = client.query_one(sql, &[]).await.map_err(failed)?;
    match (found.get("ours"), found.get("taken")) {
        (true, _) => {
            let row = client.query_one("SELECT version FROM signet_schema", &[]).await.map_err(failed)?;
            Ok(row.get(0))
        }
        (false, true) => Err(StoreError::PostgresForeign),
        (false, false) => {
            let made = "CREATE TABLE signet_schema (version bigint NOT NULL);
                INSERT INTO signet_schema VALUES (0)";
            client.batch_execute(made).await.map_err(failed)?;
            Ok(0)
        }
    }
}

/// Whether commits will be durable.
async fn check(client: &Client) -> Result<(), StoreError> {
    let row = client.query_one("SELECT current_setting('fsync') AS fsync", &[]).await.map_err(failed)?;
    if row.get::<_, &str>("fsync") != "on" {
        tracing::warn!(
            "PostgreSQL has `fsync` off: what the log has promised to keep is lost when it crashes"
        );
    }
    // Of processes that ended long ago, nobody asks any more.
    let forget = "DELETE FROM writers WHERE touched < now() - interval '7 days'";
    client.batch_execute(forget).await.map_err(failed)
}

fn failed(error: tokio_postgres::Error) -> StoreError {
    StoreError::Postgres(Fault::from(error).reason)
}
