//! The embedded stand-ins of `signet dev`: what Signet talks to in production, small enough to start in a moment on loopback.
//!
//! They are for trying out and for fast tests. They keep private keys in this process or in plain files, know no TLS, and the
//! registry knows no credentials: `signet serve` cannot be configured to use them.

pub mod registry;
pub mod transit;
