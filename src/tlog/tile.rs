//! Where the tiles of the tree are: <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md>

use std::fmt;
use std::num::IntErrorKind;
use std::str::FromStr;

/// The path of a tile below the log's prefix and `tile/`: `<L>/<N>[.p/<W>]`, or `entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    pub row: Row,
    /// Counted from 0 within the row.
    pub number: u64,
    /// 1 to 256; a tile with fewer than 256 is partial, and its path says how wide it is.
    pub width: u16,
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// Hashes of this level, 0 to 63: those of leaves at 0, and above that each stands for a full tile of the level below.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// Why a text is no [`TilePath`]. Each says what a path looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TilePathError {
    #[error(
        "a tile's path is `<level>/<number>` or `entries/<number>`, and a partial tile's ends in `.p/<width>`"
    )]
    Form,
    #[error("a tile's level is a number from 0 to 63 without leading zeros, or `entries`")]
    Level,
    #[error(
        "a tile's number is written in groups of three digits, all but the last with an `x` before them, and no more \
         groups than it needs: 1234067 is `x001/x234/067`"
    )]
    Number,
    #[error("a tile's number is below 2^64")]
    Large,
    #[error("a partial tile's width is a number from 1 to 255 without leading zeros")]
    Width,
}

impl TilePath {
    /// Hashes or entries of a full tile.
    pub const WIDTH: u16 = 256;

    /// Hashes of `level` in a tree of `size` leaves.
    pub const fn hashes_at(level: u8, size: u64) -> u64 {
        match size.checked_shr(8 * level as u32) {
            Some(hashes) => hashes,
            None => 0,
        }
    }

    /// The tile `number` of `level` as a tree of `size` leaves has it; none where it has none.
    pub fn of_tree(level: u8, number: u64, size: u64) -> Option<Self> {
        let before = number.checked_mul(u64::from(Self::WIDTH))?;
        let width = Self::hashes_at(level, size).checked_sub(before).filter(|width| *width > 0)?;
        let width = u16::try_from(width).map_or(Self::WIDTH, |width| width.min(Self::WIDTH));
        Some(Self { row: Row::Hashes(level), number, width })
    }

    /// All tiles of hashes that a tree of `size` leaves has, level by level.
    pub fn all_of_tree(size: u64) -> impl Iterator<Item = Self> {
        let levels = (0..8).take_while(move |level| Self::hashes_at(*level, size) > 0);
        levels.flat_map(move |level| {
            let tiles = Self::hashes_at(level, size).div_ceil(u64::from(Self::WIDTH));
            (0..tiles).filter_map(move |number| Self::of_tree(level, number, size))
        })
    }

    /// Whether it never changes, whatever is appended.
    pub const fn is_full(&self) -> bool {
        self.width == Self::WIDTH
    }

    /// The index of the first entry that it speaks of; none where no log is that long.
    pub fn first_entry(&self) -> Option<u64> {
        let level = match self.row {
            Row::Hashes(level) => u32::from(level),
            Row::Entries => 0,
        };
        let span = 1_u64.checked_shl(8 * (level + 1)).filter(|_| level < 7);
        match span {
            Some(span) => self.number.checked_mul(span),
            None => (self.number == 0).then_some(0),
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Row::Hashes(level) => write!(f, "{level}/")?,
            Row::Entries => f.write_str("entries/")?,
        }
        let digits = self.number.to_string();
        let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
        let groups = padded.len() / 3;
        for (place, group) in padded.as_bytes().chunks(3).enumerate() {
            let group = str::from_utf8(group).map_err(|_| fmt::Error)?;
            if place + 1 < groups {
                write!(f, "x{group}/")?;
            } else {
                f.write_str(group)?;
            }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    /// There is one path for a tile: what [`TilePath`] prints.
    fn from_str(path: &str) -> Result<Self, TilePathError> {
        let (row, rest) = path.split_once('/').ok_or(TilePathError::Form)?;
        let row = match row {
            "entries" => Row::Entries,
            level => {
                Row::Hashes(plain(level).filter(|level| *level <= 63).ok_or(TilePathError::Level)? as u8)
            }
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => {
                let width = plain(width).filter(|width| (1..Self::WIDTH).contains(width));
                (number, width.ok_or(TilePathError::Width)?)
            }
            None => (rest, Self::WIDTH),
        };
        Ok(Self { row, number: parse_number(number)?, width })
    }
}

/// A small number in decimal, as it would be printed.
fn plain(text: &str) -> Option<u16> {
    let number = text.parse::<u16>().ok()?;
    (number.to_string() == text).then_some(number)
}

fn parse_number(text: &str) -> Result<u64, TilePathError> {
    let (groups, last) = match text.rsplit_once('/') {
        Some((groups, last)) => (Some(groups), last),
        None => (None, text),
    };
    let mut digits = String::new();
    for group in groups.iter().flat_map(|groups| groups.split('/')) {
        digits.push_str(three_digits(group.strip_prefix('x').ok_or(TilePathError::Number)?)?);
    }
    if digits.starts_with("000") {
        return Err(TilePathError::Number);
    }
    digits.push_str(three_digits(last)?);
    digits.parse::<u64>().map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow => TilePathError::Large,
        _ => TilePathError::Number,
    })
}

fn three_digits(group: &str) -> Result<&str, TilePathError> {
    let is_one = group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit());
    if is_one { Ok(group) } else { Err(TilePathError::Number) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(path: &str) -> Result<TilePath, TilePathError> {
        path.parse()
    }

    #[test]
    fn the_paths_of_the_specification_are_read_and_written() {
        for (path, row, number, width) in [
            ("0/000", Row::Hashes(0), 0, 256),
            ("0/x001/x234/067", Row::Hashes(0), 1_234_067, 256),
            ("0/x001/x234/067.p/1", Row::Hashes(0), 1_234_067, 1),
            ("63/005.p/255", Row::Hashes(63), 5, 255),
            ("entries/x999/999", Row::Entries, 999_999, 256),
            ("entries/x018/x446/x744/x073/x709/x551/615", Row::Entries, u64::MAX, 256),
        ] {
            let tile = TilePath { row, number, width };
            assert_eq!(parsed(path), Ok(tile));
            assert_eq!(tile.to_string(), path);
        }
    }

    #[test]
    fn no_tile_has_a_second_path() {
        for (path, error) in [
            ("", TilePathError::Form),
            ("0", TilePathError::Form),
            ("00/000", TilePathError::Level),
            ("64/000", TilePathError::Level),
            ("+1/000", TilePathError::Level),
            ("-1/000", TilePathError::Level),
            ("99999999999999999999/000", TilePathError::Level),
            ("data/000", TilePathError::Level),
            ("0/", TilePathError::Number),
            ("0/0", TilePathError::Number),
            ("0/0000", TilePathError::Number),
            ("0/x000/000", TilePathError::Number),
            ("0/x000/x001/000", TilePathError::Number),
            ("0/001/000", TilePathError::Number),
            ("0/x001", TilePathError::Number),
            ("0/x001/x000", TilePathError::Number),
            ("0/x001//000", TilePathError::Number),
            ("0/000/", TilePathError::Number),
            ("0/X001/000", TilePathError::Number),
            ("0/%30%30%30", TilePathError::Number),
            ("0/x001%2f000", TilePathError::Number),
            ("0/٠٠٠", TilePathError::Number),
            ("0/x018/x446/x744/x073/x709/x551/616", TilePathError::Large),
            ("0/x999/x999/x999/x999/x999/x999/x999/x999/999", TilePathError::Large),
            ("0/000.p/0", TilePathError::Width),
            ("0/000.p/256", TilePathError::Width),
            ("0/000.p/01", TilePathError::Width),
            ("0/000.p/+1", TilePathError::Width),
            ("0/000.p/", TilePathError::Width),
            ("0/000.p/1/", TilePathError::Width),
            ("0/000.p/1.p/1", TilePathError::Width),
            ("0/000.p", TilePathError::Number),
        ] {
            assert_eq!(parsed(path), Err(error), "{path}");
        }
    }

    #[test]
    fn a_tree_has_the_tiles_that_the_specification_counts() {
        let tiles: Vec<_> = TilePath::all_of_tree(70_000).collect();
        let full =
            |level| tiles.iter().filter(|tile| tile.row == Row::Hashes(level) && tile.is_full()).count();
        assert_eq!([full(0), full(1), full(2)], [273, 1, 0]);
        let partial: Vec<_> = tiles.iter().filter(|tile| !tile.is_full()).map(ToString::to_string).collect();
        assert_eq!(partial, ["0/273.p/112", "1/001.p/17", "2/000.p/1"]);
        assert_eq!(TilePath::all_of_tree(0).count(), 0);
        let of_256: Vec<_> = TilePath::all_of_tree(256).map(|tile| tile.to_string()).collect();
        assert_eq!(of_256, ["0/000", "1/000.p/1"]);
    }

    #[test]
    fn a_tile_that_a_tree_does_not_have_is_none() {
        assert_eq!(TilePath::of_tree(0, 1, 256), None);
        assert_eq!(TilePath::of_tree(1, 0, 255), None);
        assert_eq!(TilePath::of_tree(8, 0, u64::MAX), None);
        assert_eq!(TilePath::of_tree(63, u64::MAX, u64::MAX), None);
    }

    #[test]
    fn a_tile_knows_where_its_entries_begin() {
        let first = |path: &str| parsed(path).unwrap().first_entry();
        assert_eq!(first("entries/003"), Some(768));
        assert_eq!(first("0/003"), Some(768));
        assert_eq!(first("1/003.p/4"), Some(3 * 65_536));
        assert_eq!(first("63/000"), Some(0));
        assert_eq!(first("63/001"), None);
        assert_eq!(first("entries/x018/x446/x744/x073/x709/x551/615"), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(level in 0..=64_u8, number: u64, width in 1..=256_u16) {
            let row = if level == 64 { Row::Entries } else { Row::Hashes(level) };
            let tile = TilePath { row, number, width };
            prop_assert_eq!(parsed(&tile.to_string()), Ok(tile));
        }

        #[test]
        fn what_is_read_is_printed_alike(path in "(entries|[0-9]{1,2})(/x?[0-9]{3,4}){1,3}(\\.p/[0-9]{1,3})?") {
            if let Ok(tile) = parsed(&path) {
                prop_assert_eq!(tile.to_string(), path);
            }
        }
    }
}
