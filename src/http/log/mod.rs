//! The log, as auditors see it.

pub mod checkpoint;
pub mod counts;
pub mod entries;
pub mod export;
pub mod filter;
mod parameters;
pub mod schema;
pub mod signatures;
pub mod tiles;
