//! Where the log's entries are kept: SQLite, for a single node.

mod error;
mod lock;
mod projection;
mod readers;
mod schema;
mod search;
mod sqlite;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use sqlite::SqliteStore;
