//! Signet signs artifact digests for CI pipelines with keys that never leave HashiCorp Vault.
//!
//! The map of the rooms, inwards to outwards:
//!
//! | room | subject | knows |
//! |---|---|---|
//! | [`domain`] | the vocabulary, pure | nobody |
//! | [`format`](mod@format) | one file per signature format | `domain` |
//! | [`ports`] | what the service needs of the world, as traits | `domain` |
//! | [`service`] | one operation a file | `domain`, `format`, `ports` |
//! | [`config`] | one file per section of the configuration | `domain` |
//! | [`vault`], [`registry`], [`identity`], [`policy`], [`log`], [`store`] | adapters: each implements a port | `domain`, `format`, `ports`, `config` |
//! | [`http`] | the API: translates | `service` |
//! | [`server`] | wires everything | everybody |
//! | [`cli`] | one file per subcommand | `server` |
//! | [`dev`] | embedded stand-ins for trying out and fast tests | `server` |
//!
//! [`metrics`] and [`input`] are leaves that every room may use. `tests/project` holds these directions against the source.

pub mod cli;
pub mod config;
pub mod dev;
pub mod domain;
pub mod format;
pub mod http;
pub mod identity;
pub mod input;
pub mod log;
pub mod metrics;
pub mod policy;
pub mod ports;
pub mod registry;
pub mod server;
pub mod service;
pub mod store;
pub mod vault;
