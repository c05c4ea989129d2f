//! Tests that need the real servers and the stock clients: Vault, three registries, cosign and crane. `tests/run` gets and
//! starts them; without them these tests fail.

mod attestations;
mod batching;
mod beside_cosign;
mod blobs;
mod call_counts;
mod clients;
mod cosign_verify;
mod crash;
mod demo;
mod foreign_signers;
mod key_types;
mod large_attestations;
mod least_privilege;
mod log_anchor;
mod log_oracle;
mod many_at_once;
mod own_registry;
mod own_vault;
mod private_ca;
mod registries;
mod registry_kinds;
mod registry_logins;
mod replicas;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
mod token_service;
mod upstream;
mod vault_logins;
mod vault_outages;
mod verification;
