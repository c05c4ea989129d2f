//! The signing log, and what else has to be durable: what is written at the same time becomes so in one commit.

mod anchor;
mod anchor_file;
mod archiver;
mod beside;
mod check;
mod checkpointer;
mod chronicle;
mod clock_watch;
mod durable_file;
mod group_commit;
mod guard;
mod heads;
mod idempotency;
mod key_archive;
mod lookups;
mod outbox;
mod projector;
mod proof_tiles;
mod push;
mod quotas;
mod search;
mod sessions;
mod writer;

pub use anchor::{AnchorKeeper, NOT_READ};
pub use anchor_file::FileAnchor;
pub use archiver::Archiver;
pub use check::{CheckError, Whole, check};
pub use checkpointer::Checkpointer;
pub use chronicle::LogChronicle;
pub use group_commit::GroupCommitLog;
pub use guard::Guard;
pub use key_archive::LoggedKeys;
pub use push::Push;
