//! Signature formats, one file per specification. Pure: bytes in, bytes out.

pub mod attestation;
pub mod bundle;
pub mod claims;
pub mod dsse;
mod go_json;
pub mod index;
pub mod predicate;
pub mod signature_manifest;
pub mod simple_signing;
pub mod statement;
