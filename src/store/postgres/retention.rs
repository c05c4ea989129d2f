//! What is beside the log and about the whole of it: marks, and how far it is archived.

use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::pipeline::Pipeline;
use crate::ports::{Extent, Writes};

/// Entries below `archived.below` are in files and may go; all others stay. The last entry always stays.
pub(super) const STEP: &str = "
    CREATE TABLE marks (name text PRIMARY KEY, value text NOT NULL);
    CREATE TABLE archived (id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1), below bigint NOT NULL);
    INSERT INTO archived (below) VALUES (0);
    CREATE FUNCTION archived_grows() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            IF TG_OP <> 'UPDATE' THEN
                RAISE EXCEPTION 'what is archived is not forgotten';
            END IF;
            IF NEW.below < OLD.below OR NEW.below > (SELECT coalesce(max(idx), 0) FROM entries) THEN
                RAISE EXCEPTION 'what is archived grows, and ends before the last entry';
            END IF;
            RETURN NEW;
        END $$;
    CREATE TRIGGER archived_grows BEFORE UPDATE OR DELETE ON archived
        FOR EACH ROW EXECUTE FUNCTION archived_grows();
    CREATE TRIGGER archived_stays BEFORE TRUNCATE ON archived
        FOR EACH STATEMENT EXECUTE FUNCTION archived_grows();
    DROP TRIGGER entries_stay ON entries;
    CREATE TRIGGER entries_stay BEFORE UPDATE OR TRUNCATE ON entries
        FOR EACH STATEMENT EXECUTE FUNCTION entries_stay();
    CREATE FUNCTION entries_last() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            IF EXISTS (SELECT FROM gone WHERE idx >= coalesce((SELECT below FROM archived), 0)) THEN
                RAISE EXCEPTION 'entries are not deleted that are not archived';
            END IF;
            RETURN NULL;
        END $$;
    CREATE TRIGGER entries_last AFTER DELETE ON entries REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION entries_last();
    ALTER TABLE archived ENABLE ALWAYS TRIGGER archived_grows;
    ALTER TABLE archived ENABLE ALWAYS TRIGGER archived_stays;
    ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_stay;
    ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_last;
";

/// Entries that go in one transaction.
const PART: i64 = 2048;

/// Sets what `writes` says, behind its entries.
pub(super) fn write<'a>(pipeline: &mut Pipeline<'a>, client: &'a Client, writes: &'a Writes) {
    for mark in &writes.marks {
        pipeline.push(async move {
            let sql =
                "INSERT INTO marks VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            client.execute(sql, &[(&mark.name, Type::TEXT), (&mark.value, Type::TEXT)]).await
        });
    }
    if let Some(below) = writes.archived_below {
        pipeline.push(async move {
            let sql = "UPDATE archived SET below = greatest(below, $1)";
            client.execute(sql, &[(&i64::try_from(below).unwrap_or(i64::MAX), Type::INT8)]).await
        });
    }
}

/// Drops some of what is archived. One statement, and so one transaction.
pub(super) async fn drop_some(client: &Client) -> Result<u64, Error> {
    let sql = "WITH part AS (SELECT least((SELECT below FROM archived), (SELECT min(idx) FROM entries) + $1) AS below)
        DELETE FROM entries WHERE idx < (SELECT below FROM part)";
    client.execute(sql, &[(&PART, Type::INT8)]).await
}

pub(super) async fn extent(client: &Client) -> Result<Extent, Error> {
    let sql = "SELECT coalesce(min(idx), 0), coalesce(max(idx) + 1, 0) FROM entries";
    let row = client.query_one(sql, &[]).await?;
    Ok(Extent { first: row.get::<_, i64>(0).cast_unsigned(), size: row.get::<_, i64>(1).cast_unsigned() })
}

pub(super) async fn mark(client: &Client, name: &str) -> Result<Option<String>, Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
    let row = client.query_opt("SELECT value FROM marks WHERE name = $1", &parameters).await?;
    Ok(row.map(|row| row.get(0)))
}

pub(super) async fn first_open(client: &Client) -> Result<Option<u64>, Error> {
    let row = client.query_one("SELECT min(idx) FROM deliveries", &[]).await?;
    Ok(row.get::<_, Option<i64>>(0).map(i64::cast_unsigned))
}
