//! Texts that PostgreSQL takes.

use std::borrow::Cow;

/// PostgreSQL keeps no NUL in a text: the sign for what can not be shown stands for it. Entries have their exact
/// bytes all the same.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
