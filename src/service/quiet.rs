//! Log lines that callers cause, of which a flood must not flood our log.

use std::sync::{Mutex, PoisonError};

use crate::domain::Timestamp;

/// Lets some lines of a second through, and counts the others.
#[derive(Debug, Default)]
pub struct Quiet {
    second: Mutex<Second>,
}

#[derive(Debug, Default)]
struct Second {
    number: i64,
    lines: u32,
    left_out: u64,
}

impl Quiet {
    /// Lines of one second.
    pub const LINES: u32 = 20;

    /// Whether a line may be written now: then how many were left out since the one before.
    pub fn line(&self, now: Timestamp) -> Option<u64> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number != now.as_second() {
            second.number = now.as_second();
            second.lines = 0;
        }
        if second.lines == Self::LINES {
            second.left_out += 1;
            return None;
        }
        second.lines += 1;
        Some(std::mem::take(&mut second.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_with_the_next_line() {
        let quiet = Quiet::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        for _ in 0..Quiet::LINES {
            assert_eq!(quiet.line(at(0)), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(quiet.line(at(0)), None);
        }
        assert_eq!(quiet.line(at(1)), Some(1000));
        assert_eq!(quiet.line(at(1)), Some(0));
    }
}
