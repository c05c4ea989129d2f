//! The signing log: what is appended at the same time becomes durable in one commit.

mod forgetful;
mod group_commit;
mod writer;

pub use group_commit::GroupCommitLog;
