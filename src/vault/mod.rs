//! The keeper of the private keys: HashiCorp Vault's transit engine, or OpenBao's.
//!
//! | file | subject |
//! |---|---|
//! | `signer` | [`TransitSigner`], which implements the port |
//! | `batch` | which signatures share a call |
//! | `group` | one group: intents, the call, everybody's answer |
//! | `keys` | the keys' versions, and the cache that follows Vault |
//! | `kept` | the versions that Vault publishes no more |
//! | `notes` | the log's own key, which implements the port of notes |
//! | `anchor` | the log's newest checkpoint in the KV engine |
//! | `ready` | whether a call would be let in |
//! | `client` | a call with the token that is valid now, and what is tried again |
//! | `auth` | the token: logins, and who keeps it valid |
//! | `caller` | one attempt at one call |
//! | `failure` | what a failed call means |
//! | `endpoints` | the calls about keys, as Vault documents them |
//! | `transport` | HTTP to the nodes of one Vault, and to nobody else |

mod anchor;
mod auth;
mod batch;
mod caller;
mod client;
mod endpoints;
mod failure;
mod group;
mod kept;
mod keys;
mod notes;
mod ready;
mod signer;
mod transport;

#[cfg(test)]
mod tests;

pub use anchor::VaultAnchor;
pub use notes::TransitNotes;
pub use signer::{StartError, TransitSigner};
