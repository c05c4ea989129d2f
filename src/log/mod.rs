//! The signing log, and what else has to be durable: what is written at the same time becomes so in one commit.

mod check;
mod checkpointer;
mod group_commit;
mod guard;
mod heads;
mod idempotency;
mod key_archive;
mod outbox;
mod quotas;
mod writer;

pub use check::{CheckError, Whole, check};
pub use checkpointer::Checkpointer;
pub use group_commit::GroupCommitLog;
pub use guard::Guard;
