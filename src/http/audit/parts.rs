//! Small pieces that many pages show, as markup that is safe whatever is in them.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::domain::{Digest, Timestamp};

/// Text of others, so that it can not pass for something else: characters that nobody sees, or that turn the direction of what
/// stands around them, are written as what they are, `⟨U+202E⟩`. It still has to be escaped, which templates do.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            plain.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
        } else {
            plain.push(character);
        }
    }
    plain
}

/// As [`plain`], of text that has lines.
pub fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// Control characters, marks of direction (Unicode Annex 9), and what takes no room.
const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A moment in UTC, to the second; the page adds the reader's own time beside it.
#[derive(Debug, Clone, Copy)]
pub struct When(pub Timestamp);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.0;
        let shown = exact.strftime("%Y-%m-%d %H:%M:%S");
        write!(f, "<time datetime=\"{exact}\" title=\"{exact}\">{shown}<abbr>&nbsp;UTC</abbr></time>")
    }
}

impl HtmlSafe for When {}

/// As much of a digest as tells it apart, with all of it behind.
#[derive(Debug, Clone, Copy)]
pub struct Short(pub Digest);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.0.to_string();
        let begins = digest.get(..SHOWN).unwrap_or(&digest);
        write!(f, "<code class=\"digest\" title=\"{digest}\">{begins}…</code>")
    }
}

impl HtmlSafe for Short {}

/// `sha256:` and twelve digits.
const SHOWN: usize = 19;

/// A number with thin blanks between its thousands.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                f.write_str("\u{202f}")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl HtmlSafe for Number {}

/// How long something took, or has lasted, in words.
pub fn lasted(from: Timestamp, to: Timestamp) -> String {
    let milliseconds = to.duration_since(from).as_millis().max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// How complete a page of an answer is: of a log of `size` entries, of which the newest `behind` can not be found yet.
pub fn complete(found: usize, is_first: bool, has_more: bool, size: u64, behind: u64) -> String {
    let size = Number(size);
    let text = match (has_more, is_first, found) {
        (true, ..) => {
            format!("There may be more on the next page. All pages speak of the same {size} entries.")
        }
        (false, true, 0) => format!("Complete: nothing matches, in all {size} entries."),
        (false, true, 1) => format!("Complete: this is the one that matches, of all {size} entries."),
        (false, true, found) => format!("Complete: these {found} are all that match, of all {size} entries."),
        (false, false, _) => {
            format!("Complete: with the pages before, these are all that match, of all {size} entries.")
        }
    };
    match behind {
        0 => text,
        1 => format!("{text} The newest entry is not in the index yet."),
        behind => format!("{text} The {} newest entries are not in the index yet.", Number(behind)),
    }
}

/// The parts of a path, each as it stands in a URL.
pub fn in_path(text: &str) -> String {
    askama::filters::urlencode_strict(text).map_or_else(|_| String::new(), |encoded| encoded.to_string())
}

/// A path of these pages with a query.
pub fn link<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut serializer = url::form_urlencoded::Serializer::new(String::new());
    serializer.extend_pairs(query);
    match serializer.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_can_neither_hide_nor_turn_what_stands_around_it() {
        assert_eq!(plain("team/app"), "team/app");
        assert_eq!(plain("שלום é 😀"), "שלום é 😀");
        assert_eq!(plain("a\u{202e}b\u{200b}c\nd"), "a⟨U+202E⟩b⟨U+200B⟩c⟨U+000A⟩d");
        assert_eq!(plain("\u{2066}x\u{2069}\u{feff}"), "⟨U+2066⟩x⟨U+2069⟩⟨U+FEFF⟩");
    }

    #[test]
    fn numbers_have_their_thousands_apart() {
        let number = |number| Number(number).to_string();
        assert_eq!(number(7), "7");
        assert_eq!(number(1234), "1\u{202f}234");
        assert_eq!(number(10_000_000), "10\u{202f}000\u{202f}000");
    }

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        let lasts = |milliseconds| lasted(at(0), at(milliseconds));
        assert_eq!(
            [12, 1500, 150_000, 9_000_000, 300_000_000].map(lasts),
            ["12 ms", "1 s", "2 min", "2 h", "3 days"]
        );
        assert_eq!(lasted(at(5), at(0)), "0 ms");
    }
}
