//! What the service needs of the world, as traits over [`crate::domain`].
//!
//! Each trait says what its implementation promises; adapters implement it, and the service
//! knows nothing else of them.

mod anchor;
mod authenticator;
mod batch_member;
mod chronicle;
mod idempotency;
mod key_archive;
mod log_range;
mod log_search;
mod login;
mod marks;
mod outbox;
mod policy;
mod quotas;
mod registry;
mod sessions;
mod shared_locks;
mod signer;
mod signing_log;
mod store;
mod transparency;

pub use anchor::{Anchor, AnchorError, Anchored};
pub use authenticator::{AuthenticationError, Authenticator, ClientCertificate, Credentials};
pub use batch_member::{BatchEnd, BatchMember, BatchPlace, Minute, Recorder};
pub use chronicle::Chronicle;
pub use idempotency::{Idempotency, IdempotencyId, KeptAnswer, Recalled};
pub use key_archive::{ArchivedVersion, KeyArchive};
pub use log_range::{Extent, LogRange};
pub use log_search::{
    CountQuery, Counted, CountedOf, Counts, EntryPage, EntryQuery, Grouping, ListedSignature, LogSearch,
    Order, Projector, SearchProgress, SignatureFilter, SignaturePage, SignatureQuery, SignatureState,
    SignaturesOf, Step,
};
pub use login::{LoginBegun, LoginError, LoginPending, LoginProvider};
pub use marks::{Mark, Marks};
pub use outbox::{Delivery, DeliveryChange, Outbox, Parcel, Stage, Waiting};
pub use policy::{Decision, Explanation, Policy, PolicyState, Question, RuleLimits, RuleVerdict};
pub use quotas::{Quotas, Taken, Taking, Uses};
pub use registry::{
    Change, Manifest, ManifestUpdate, Referrer, Registry, RegistryError, RegistryReply, RegistrySettings,
    Upload,
};
pub use sessions::{Session, SessionChange, SessionId, SessionOpening, Sessions};
pub use shared_locks::{Alone, SharedLock, SharedLocks};
pub use signer::{Signed, Signer, SignerError, SigningTask};
pub use signing_log::{LogError, LoggedEntry, SigningLog};
pub use store::{Binding, NewEntry, Store, StoreReader, Writes, Written};
pub use transparency::{NoteSigner, SignedCheckpoint, Transparency};
