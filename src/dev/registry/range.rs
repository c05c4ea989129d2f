//! The one [byte range] of a `Range` header, for clients that resume a download.
//!
//! [byte range]: https://www.rfc-editor.org/rfc/rfc9110#name-byte-ranges

use axum::http::{HeaderMap, header};

use super::error::Error;

/// First and last byte of what the client asks for; `None` for the whole. Several ranges at once, other units and malformed
/// headers ask for the whole, as RFC 9110 allows.
///
/// # Errors
///
/// [`Error::RangeNotSatisfiable`] when the range lies outside `size` bytes.
pub(super) fn requested(headers: &HeaderMap, size: u64) -> Result<Option<(u64, u64)>, Error> {
    let Some((first, last)) = headers.get(header::RANGE).and_then(|value| {
        let bounds = value.to_str().ok()?.strip_prefix("bytes=")?;
        bounds.split_once('-')
    }) else {
        return Ok(None);
    };
    let bounds = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(0)) if first.is_empty() => return Err(Error::RangeNotSatisfiable { size }),
        (Err(_), Ok(length)) if first.is_empty() => (size.saturating_sub(length), size.saturating_sub(1)),
        _ => return Ok(None),
    };
    if bounds.0 < size { Ok(Some(bounds)) } else { Err(Error::RangeNotSatisfiable { size }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, size: u64) -> Result<Option<(u64, u64)>, ()> {
        let headers = HeaderMap::from_iter([(header::RANGE, value.parse().unwrap())]);
        requested(&headers, size).map_err(|_| ())
    }

    #[test]
    fn a_range_is_cut_to_the_blob_or_refused() {
        assert_eq!(of("bytes=0-4", 10), Ok(Some((0, 4))));
        assert_eq!(of("bytes=5-", 10), Ok(Some((5, 9))));
        assert_eq!(of("bytes=-3", 10), Ok(Some((7, 9))));
        assert_eq!(of("bytes=-30", 10), Ok(Some((0, 9))));
        assert_eq!(of("bytes=5-99", 10), Ok(Some((5, 9))));
        for unsatisfiable in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(of(unsatisfiable, 10), Err(()), "{unsatisfiable}");
        }
        assert_eq!(of("bytes=0-0", 0), Err(()));
        for whole in ["bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=x-"] {
            assert_eq!(of(whole, 10), Ok(None), "{whole}");
        }
    }
}
