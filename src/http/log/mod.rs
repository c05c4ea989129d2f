//! The log, as auditors see it.

pub mod entries;
pub mod export;
pub mod filter;
pub mod schema;
