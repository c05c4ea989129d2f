//! What a database keeps of a budget's uses, whatever the database.

use crate::domain::Timestamp;

/// How many uses of a slot count, and until when: in doubt, many, and for ever.
pub(super) fn counted(count: i64, expires: i64) -> (u32, Timestamp) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    (count, Timestamp::from_microsecond(expires).unwrap_or(Timestamp::MAX))
}
