//! JSON as Go's `encoding/json` writes it.
//!
//! cosign compares payloads by digest, so a payload that means the same must be the same bytes.

use serde::Serialize;

/// `value` as compact JSON in which `<`, `>`, `&`, U+2028 and U+2029 are escaped, as Go does by default.
///
/// All five can stand inside strings only, so escaping the whole text changes no structure.
pub fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string(value).expect("invariant: maps with string keys always become JSON");
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            c => escaped.push(c),
        }
    }
    escaped.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_escapes_is_escaped() {
        assert_eq!(to_vec(&"a<b>&\u{2028}é\"\\"), br#""a\u003cb\u003e\u0026\u2028"#.iter().copied().chain("é\\\"\\\\\"".bytes()).collect::<Vec<_>>());
    }
}
