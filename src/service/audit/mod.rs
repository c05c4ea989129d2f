//! What auditors look at: one signature's story, a key's versions, the log as a whole.

mod overview;
mod presence;
mod story;
mod versions;

pub use overview::{Day, Overview};
pub use presence::Presence;
pub use story::{ProvenEntry, Story};
pub use versions::{Radius, RadiusRequest, RadiusRow, VersionCount};
