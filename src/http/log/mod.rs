//! The log, as auditors see it.

pub mod counts;
pub mod entries;
mod parameters;
pub mod signatures;
