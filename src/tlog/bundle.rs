//! Entries side by side, as tiles of entries have them:
//! <https://github.com/C2SP/C2SP/blob/main/tlog-tiles.md#log-entries>

/// A bundle breaks off in the middle of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bundle breaks off in the middle of its entry {place}")]
pub struct BundleError {
    /// Counted from 0.
    pub place: usize,
}

/// Adds `entry` to `bundle`: its length in two bytes, the larger one first, and its bytes.
///
/// # Panics
/// Where it has more than 65,535 bytes, which no entry of the log has.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).expect("invariant: an entry has at most 65,535 bytes");
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// The entries of `bundle`, in their order. After an error comes nothing.
pub fn entries_of(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], BundleError>> {
    let (mut rest, mut place) = (bundle, 0);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = rest
            .split_first_chunk::<2>()
            .and_then(|(length, behind)| behind.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        let Some((entry, behind)) = entry else {
            rest = &[];
            return Some(Err(BundleError { place }));
        };
        (rest, place) = (behind, place + 1);
        Some(Ok(entry))
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_has_its_length_before_it() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, b"ab");
        push_entry(&mut bundle, &[7; 65_535]);
        assert_eq!(bundle[..6], [0, 2, b'a', b'b', 0xff, 0xff]);
        let lengths: Vec<_> = entries_of(&bundle).map(|entry| entry.unwrap().len()).collect();
        assert_eq!(lengths, [2, 65_535]);
    }

    proptest! {
        #[test]
        fn what_was_put_in_comes_out(entries in vec(vec(any::<u8>(), 0..300), 0..20)) {
            let mut bundle = Vec::new();
            entries.iter().for_each(|entry| push_entry(&mut bundle, entry));
            let out: Result<Vec<_>, _> = entries_of(&bundle).collect();
            prop_assert_eq!(out.unwrap(), entries);
        }

        #[test]
        fn a_bundle_that_breaks_off_says_so(entries in vec(vec(any::<u8>(), 1..300), 1..9), cut in 1..3_usize) {
            let mut bundle = Vec::new();
            entries.iter().for_each(|entry| push_entry(&mut bundle, entry));
            bundle.truncate(bundle.len() - cut.min(entries[entries.len() - 1].len() + 1));
            let out: Result<Vec<_>, _> = entries_of(&bundle).collect();
            prop_assert_eq!(out.unwrap_err(), BundleError { place: entries.len() - 1 });
        }
    }
}
