//! Tests that need the real servers and the stock clients: Vault, three registries, cosign and crane. `tests/run` gets and
//! starts them; without them these tests fail.

mod batching;
mod beside_cosign;
mod call_counts;
mod clients;
mod cosign_verify;
mod crash;
mod demo;
mod foreign_signers;
mod least_privilege;
mod many_at_once;
mod own_registry;
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

/// Whether the long storms were asked for (`tests/run soak`); otherwise each runs in a short form.
fn soak() -> bool {
    std::env::var_os("SIGNET_TEST_SOAK").is_some()
}
