//! Signet signs artifact digests for CI pipelines with keys that never leave HashiCorp Vault.
//!
//! The map of the rooms, inwards to outwards:
//!
//! | room | subject | knows |
//! |---|---|---|
//! | [`domain`] | the vocabulary, pure | nobody |
//! | [`tlog`] | the Merkle tree of the signing log, and the formats that publish it, pure | nobody |
//! | [`metrics`], [`input`], [`causes`] | leaves: what is counted; reading what people write; errors in words | nobody |
//! | [`authorities`] | whom a client of ours believes | `causes` |
//! | [`format`](mod@format) | one file per signature format | `domain` |
//! | [`ports`] | what the service needs of the world, as traits | `domain`, `tlog` |
//! | [`service`] | one operation a file | `domain`, `tlog`, `format`, `ports`, `metrics` |
//! | [`config`] | one file per section of the configuration | `domain`, `input` |
//! | [`vault`], [`registry`], [`identity`], [`policy`], [`log`], [`store`] | adapters: each implements a port | `domain`, `tlog`, `format`, `ports`, `config`, `metrics`, `input`, `causes`, `authorities` |
//! | [`http`] | the API: translates | `service`, `domain`, `tlog`, `ports`, `config`, `metrics`, `input` |
//! | [`server`] | wires everything | all above |
//! | [`dev`] | embedded stand-ins for trying out and fast tests | `domain`, `format`, `config`, `server` |
//! | [`client`] | a client of the API | `causes`, `authorities` |
//! | [`cli`] | one file per subcommand | `domain`, `tlog`, `format`, `ports`, `config`, `policy`, `server`, `dev`, `client`, `authorities` |
//! | `main` | the command | `cli` |
//!
//! `tests/project` reads this map and holds the source to it.

pub mod authorities;
pub mod causes;
pub mod cli;
pub mod client;
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
pub mod tlog;
pub mod vault;
