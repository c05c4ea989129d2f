//! The API: translates between HTTP and [`crate::service`].

mod admin;
mod admission;
mod attestations;
mod authenticated;
mod blobs;
mod body;
mod docs;
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
mod verifications;
mod well_known;

pub use admin::{AdminState, router as admin_router};
pub use admission::Admission;
pub use idempotency::forget_old_answers;
pub use router::{openapi, router};
pub use state::ApiState;
