//! The log, as auditors see it.

pub mod checkpoint;
pub mod entries;
pub mod filter;
pub mod tiles;
