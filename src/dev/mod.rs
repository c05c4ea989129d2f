//! Signet with everything embedded: stand-ins for Vault and the registry, small enough to start in a moment on loopback.
//!
//! They are for trying out and for fast tests. They keep private keys in this process or in plain files, know no TLS, and the
//! registry knows no credentials: `signet serve` cannot be configured to use them.

mod body;
mod demo;
mod environment;
pub mod registry;
mod sample_image;
pub mod transit;

pub use demo::{cosign_line, demo};
pub use environment::{DevError, Environment, Options};
