//! Formats of signatures, and of entries for other programs, one file per specification. Pure: bytes in, bytes out.

pub mod attestation;
pub mod bundle;
pub mod cef;
pub mod claims;
pub mod csv;
pub mod dsse;
mod go_json;
pub mod index;
pub mod ndjson;
pub mod ocsf;
pub mod predicate;
pub mod signature_manifest;
pub mod simple_signing;
pub mod statement;
pub mod syslog;
