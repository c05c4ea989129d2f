//! The vocabulary of signing, pure: nothing in here performs I/O, reads a clock or rolls dice.
//!
//! Strings from outside become these types once, at the edge. A value of one of these types is
//! valid by construction, so that no room behind the edge checks again.

mod annotations;
mod clock;
mod content;
mod descriptor;
mod digest;
mod entry;
mod filter;
mod hash;
mod identifier;
mod image;
mod key;
mod pattern;
mod principal;
mod public_key;
mod reach;
mod record;
mod registry_host;
mod signature;
mod signing_input;

pub use annotations::{Annotations, AnnotationsError};
pub use clock::{Clock, SystemClock, Timestamp};
pub use content::Content;
pub use descriptor::Descriptor;
pub use digest::{Digest, DigestError};
pub use entry::{Alike, AttachResult, Entry, Event, Missing, Outcome, Signing, Subject};
pub use filter::EntryFilter;
pub use hash::HashAlgorithm;
pub use identifier::{BatchId, IdSource, RandomIds, RequestId, SignatureId};
pub use image::{ImageError, ImageReference, Repository};
pub use key::{Key, KeyName, KeyNameError, KeyReference, KeyType, KeyVersion, PublishedVersion};
pub use pattern::Pattern;
pub use principal::{Certificate, Claims, MatchedClaims, Operation, Principal, Ruling, Workload};
#[cfg(test)]
pub(crate) use public_key::tests::key_pair as test_key_pair;
pub use public_key::{Fingerprint, PublicKey, PublicKeyError};
pub use reach::Reach;
pub use record::{Attachment, Record, State};
pub use registry_host::{RegistryHost, RegistryHostError};
pub use signature::{Claim, Format, SignatureIdentity};
pub use signing_input::SigningInput;
