//! What tests share: real servers or stand-ins, a Signet of one's own, a proxy that counts and breaks, images.
//!
//! Each test gets its own Vault key, repository and Signet on a free port. All of them end with their values.

#![allow(dead_code, unused_imports, reason = "each test target uses its own part")]

pub mod anchor;
pub mod attached;
pub mod authority;
pub mod browser;
pub mod image;

pub mod issuer;
pub mod notes;
pub mod oidc_provider;
pub mod postgres;
pub mod problem;
pub mod proxy;
pub mod receiver;
pub mod servers;
pub mod signet;
pub mod token_host;
pub mod traps;
pub mod webdriver;
pub mod world;

pub use authority::Authority;
pub use browser::Browser;
pub use oidc_provider::OidcProvider;
pub use proxy::{Fault, Proxy};
pub use signet::Signet;
pub use world::{Answer, World};

/// Whether the long storms were asked for (`tests/run soak`); otherwise each runs in a short form.
pub fn soak() -> bool {
    std::env::var_os("SIGNET_TEST_SOAK").is_some()
}
