//! The API: translates between HTTP and [`crate::service`].

mod admin;
mod admission;
mod attestations;
mod audit;
mod authenticated;
mod blobs;
mod body;
mod decisions;
mod docs;
mod housekeeping;
mod idempotency;
mod keys;
mod log;
mod observe;
mod path;
mod preference;
mod problem;
mod remainder;
mod router;
mod signatures;
mod state;
mod turns;
mod verifications;
mod well_known;

pub use admin::{AdminState, router as admin_router};
pub use admission::Admission;
pub use audit::{AuditParts, Turnstile};
pub use housekeeping::forget_what_is_old;
pub use router::{openapi, router};
pub use state::{ApiParts, ApiState};
