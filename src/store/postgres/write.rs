//! One transaction.

use std::time::Duration;

use futures::future::{try_join, try_join3, try_join4};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::client::Client;
use super::fault::{Fault, within};
use super::pipeline::Pipeline;
use super::tree::Grown;
use super::{archive, entries, idempotency, outbox, quotas, retention, sessions, tree};
use crate::ports::{NewEntry, Writes, Written};
use crate::store::tree_row::Witness;

/// The name of a transaction. Its writer's own row says which of its transactions was the last, and changes together
/// with everything else: so the same transaction is never done twice, and after a connection was lost during
/// a commit, asking for it anew tells how that ended. As the row is locked, the question waits for a transaction that
/// is still on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) writer: Uuid,
    /// Counted up.
    pub(super) number: i64,
}

/// Makes `writes` durable. `unknown` holds, after an error, what was found where the commit may have happened
/// nevertheless; with it and the same stamp, this can be called again, on another connection.
///
/// Three ways there and back: `BEGIN` alone, because statements behind one that failed would be commits of their own;
/// everything that needs no index; and entries with what refers to them, with `COMMIT`. The head of the log is held
/// from the second to the third, and not while large documents arrive: it tells all that is needed to add to the tree, so
/// whoever else has written in between costs no further way. Where budgets are asked for, a fourth comes
/// before the second: from then on to the end, nobody else counts. So it is where sessions are opened.
pub(super) async fn transact(
    client: &Client,
    limit: Duration,
    stamp: Stamp,
    writes: &Writes,
    witness: &mut Witness,
    unknown: &mut Option<Written>,
) -> Result<Written, Fault> {
    within(limit, client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")).await?;
    let rest = outbox::add_documents(client, limit, writes).await?;
    let (taken, used) = within(limit, quotas::look(client, &writes.takings)).await?;
    let opened = within(limit, sessions::look(client, &writes.sessions)).await?;
    let together = try_join(
        try_join4(
            self::stamp(client, stamp),
            rest.run(),
            archive::keep(client, &writes.archived),
            idempotency::bind(client, &writes.bindings),
        ),
        try_join3(
            idempotency::keep(client, &writes.answers),
            used.count(client),
            // Held until the transaction ends, with the indexes behind it; without entries nobody is held up.
            tree::head(client, !writes.entries.is_empty()),
        ),
    );
    let ((fresh, (), (), bound), (kept, (), head)) = within(limit, together).await?;
    if !fresh {
        within(limit, client.batch_execute("ROLLBACK")).await?;
        return unknown
            .take()
            .ok_or_else(|| Fault::lasting("a transaction was done that nobody has asked for"));
    }
    let edge = head.edge()?;
    let before = edge.head();
    witness.among_others(before)?;
    let grown = Grown::of(edge, writes.entries.iter().map(NewEntry::leaf));
    let written = Written {
        first: before.size,
        before,
        head: grown.head(),
        recalled: idempotency::recalled(&writes.bindings, bound)?,
        kept: idempotency::kept(&writes.answers, kept)?,
        taken,
        opened,
    };

    let mut last = Pipeline::default();
    if !writes.entries.is_empty() {
        grown.write(&mut last, client, true);
    }
    entries::append(&mut last, client, head.size, &writes.entries);
    outbox::change(&mut last, client, head.size, writes)?;
    if let Some(checkpoint) = &writes.checkpoint {
        tree::keep(&mut last, client, checkpoint);
    }
    sessions::change(&mut last, client, writes, &written.opened);
    retention::write(&mut last, client, writes);
    last.push(client.batch_execute("COMMIT"));
    *unknown = Some(written.clone());
    within(limit, last.run()).await?;
    Ok(written)
}

/// Writes the stamp, and says whether it is new.
pub(super) async fn stamp(client: &Client, stamp: Stamp) -> Result<bool, tokio_postgres::Error> {
    let sql = "INSERT INTO writers VALUES ($1, $2, now()) ON CONFLICT (id) DO UPDATE
        SET last = excluded.last, touched = excluded.touched WHERE writers.last < excluded.last";
    let stamped = client.execute(sql, &[(&stamp.writer, Type::UUID), (&stamp.number, Type::INT8)]).await?;
    Ok(stamped == 1)
}
