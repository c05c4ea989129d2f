//! What a database keeps of a delivery, whatever the database.

use bytes::Bytes;

use crate::domain::{Content, Timestamp};
use crate::ports::{Delivery, LogError, Parcel, Stage};

/// A delivery without its document. Times are microseconds since 1970.
pub(super) struct DeliveryRow {
    /// The bytes of the outcome.
    pub(super) entry: Vec<u8>,
    pub(super) index: i64,
    pub(super) replaces: bool,
    pub(super) stage: i16,
    pub(super) attempts: u32,
    pub(super) due: i64,
}

impl DeliveryRow {
    /// # Errors
    /// Where the row is none that a store has written.
    pub(super) fn with(self, document: Content) -> Result<Delivery, LogError> {
        let damaged = |what: &str| LogError(format!("a delivery can not be read: {what}"));
        Ok(Delivery {
            entry: serde_json::from_slice(&self.entry).map_err(|error| damaged(&error.to_string()))?,
            index: self.index.cast_unsigned(),
            parcel: Parcel { document, replace: self.replaces },
            stage: stage_of(self.stage).ok_or_else(|| damaged("its stage is unknown"))?,
            attempts: self.attempts,
            due: Timestamp::from_microsecond(self.due).map_err(|error| damaged(&error.to_string()))?,
        })
    }
}

/// 0 for "attach", and n + 1 for "look again" number n.
pub(super) fn stage_number(stage: Stage) -> i16 {
    match stage {
        Stage::Attach => 0,
        Stage::LookAgain(count) => i16::from(count) + 1,
    }
}

fn stage_of(number: i16) -> Option<Stage> {
    match number {
        0 => Some(Stage::Attach),
        number => u8::try_from(number - 1).ok().map(Stage::LookAgain),
    }
}

/// The pieces of a document, none larger than `limit` bytes. Nothing is copied.
pub(super) fn parts(document: &Content, limit: usize) -> impl Iterator<Item = Bytes> {
    document.pieces().flat_map(move |piece| {
        (0..piece.len())
            .step_by(limit)
            .map(move |start| piece.slice(start..piece.len().min(start.saturating_add(limit))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_comes_back_from_its_number() {
        for stage in [Stage::Attach, Stage::LookAgain(0), Stage::LookAgain(2), Stage::LookAgain(u8::MAX)] {
            assert_eq!(stage_of(stage_number(stage)), Some(stage));
        }
        assert_eq!((stage_of(-1), stage_of(257)), (None, None));
    }

    #[test]
    fn the_parts_of_a_document_are_its_bytes_in_order() {
        let mut document = Content::from("0123456789");
        document.push("ab");
        let parts: Vec<_> = parts(&document, 4).collect();
        assert_eq!(parts, ["0123", "4567", "89", "ab"]);
    }
}
