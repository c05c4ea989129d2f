//! The log, as auditors see it.

pub mod entries;
pub mod filter;
pub mod schema;
