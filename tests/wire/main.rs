//! Tests on the wire: HTTP in, HTTP out; against the stand-ins or the real servers, as `SIGNET_TEST_SERVERS` says.

mod admin;
mod attestations;
mod bad_input;
mod blobs;
mod command_line;
mod confusions;
mod credentials;
mod decisions;
mod documentation;
mod drain;
mod idempotency;
mod idempotency_key;
mod keys;
mod limits;
mod log_failures;
mod log_keys;
mod log_tiles;
mod oidc;
mod outbox;
mod overload;
mod platforms;
mod policy_reload;
mod recursive;
mod registry_contract;
mod registry_failures;
mod registry_kinds;
mod signatures;
mod slow_clients;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod transit_contract;
mod vault_failures;
mod verifications;
