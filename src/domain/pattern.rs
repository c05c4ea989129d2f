//! Patterns for paths: of repositories, of claims, of predicate types.

use super::Repository;

/// A pattern over text whose parts are separated by `/`: `*` stands for any characters but `/`, and `**`, as a whole part,
/// for any parts. At the end, `**` stands for one part at least: `a/**` is not `a`. Everything else stands for itself.
///
/// Built for policies of ten thousand rules: nothing is compiled, and matching takes no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any number of parts.
    Any,
    /// These pieces, with any characters between them; one piece alone is the whole part.
    Pieces(Vec<String>),
}

impl Pattern {
    /// # Errors
    /// A sentence on what the pattern has that would not do what its author thinks.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern matches nothing; leave it out".to_owned());
        }
        if text.contains(['?', '[', ']', '{', '}', '\\']) {
            return Err(format!(
                "`{text}` has one of ?[]{{}}\\; patterns know `*` and `**` alone: write a list of patterns, or a `condition`"
            ));
        }
        let part = |part: &str| match part {
            "**" => Ok(Part::Any),
            part if part.contains("**") => Err(format!(
                "`{text}` has `**` beside other characters; `**` crosses `/` only as a whole part, as in `a/**`"
            )),
            part => Ok(Part::Pieces(part.split('*').map(str::to_owned).collect())),
        };
        let mut parts = text.split('/').map(part).collect::<Result<Vec<_>, _>>()?;
        if parts.last() == Some(&Part::Any) {
            parts.insert(parts.len() - 1, Part::Pieces(vec![String::new(), String::new()]));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// A pattern of repositories, `host/path`, with its host as [`Repository`] has it.
    ///
    /// # Errors
    /// As [`Pattern::new`], and where no repository could have such a name.
    pub fn of_repositories(text: &str) -> Result<Self, String> {
        let host_needed = || {
            format!(
                "`{text}` has no registry's host before its first `/`, as in `registry.example.com/team/**`"
            )
        };
        if text == "**" {
            return Self::new(text);
        }
        let (host, path) = text.split_once('/').ok_or_else(host_needed)?;
        if path.is_empty() || path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err(format!("`{text}` has an empty part, `.` or `..`, which no repository's name has"));
        }
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(format!("`{text}` has upper case letters, which no repository's name has"));
        }
        if path.contains([':', '@']) {
            return Err(format!("`{text}` has a tag or a digest; rules are about repositories"));
        }
        if host.contains('*') {
            return Self::new(text);
        }
        // The host becomes what it is in a name. A path of one part tells whether names get another part before it.
        let one = format!("{host}/x").parse::<Repository>().map_err(|_| host_needed())?;
        let short = !path.contains('/') && !path.contains("**");
        let before = if short { one.path().strip_suffix('x').unwrap_or_default() } else { "" };
        Self::new(&format!("{}/{before}{path}", one.host()))
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has no wildcard.
    pub fn is_exact(&self) -> bool {
        !self.text.contains('*')
    }

    pub fn matches(&self, text: &str) -> bool {
        // Where the last `**` is, and the text from which on it may take one part more.
        let mut retry = None;
        let (mut at, mut rest) = (0, Some(text));
        loop {
            match (self.parts.get(at), rest.map(first)) {
                (Some(Part::Any), _) => {
                    retry = Some((at, rest));
                    at += 1;
                    continue;
                }
                (Some(Part::Pieces(pieces)), Some((part, after))) if fits(pieces, part) => {
                    (at, rest) = (at + 1, after);
                    continue;
                }
                (None, None) => return true,
                (None, Some(_)) if self.parts.last() == Some(&Part::Any) => return true,
                _ => {}
            }
            let Some((any, Some(left))) = retry else { return false };
            rest = first(left).1;
            retry = Some((any, rest));
            at = any + 1;
        }
    }
}

/// The first part, and what is behind its `/`.
fn first(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((part, after)) => (part, Some(after)),
        None => (text, None),
    }
}

/// Whether `text` is the pieces with anything between them.
fn fits(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return matches!(pieces, [only] if only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        let Some(found) = rest.find(piece.as_str()) else { return false };
        rest = &rest[found + piece.len()..];
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use globset::GlobBuilder;
    use proptest::prelude::*;

    use super::*;

    fn repositories(text: &str) -> Pattern {
        Pattern::of_repositories(text).unwrap()
    }

    #[test]
    fn a_star_stops_at_a_slash_and_two_cross_it() {
        for (pattern, yes, no) in [
            ("a/*", &["a/b", "a/"][..], &["a", "a/b/c", "b/b"][..]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab/c"]),
            ("**", &["a", "a/b", ""], &[]),
            ("a/**/z", &["a/z", "a/b/z", "a/b/c/z", "a/z/z"], &["a", "z", "a/b/zz"]),
            ("refs/tags/v*", &["refs/tags/v1", "refs/tags/v"], &["refs/tags/1", "refs/tags/v1/2"]),
            ("a*b*c", &["abc", "axbxc", "abbcc"], &["ac", "abcd", "a/bc"]),
            ("*ab", &["ab", "aab"], &["a", "abx"]),
            ("a", &["a"], &["", "a/", "A"]),
        ] {
            let matcher = Pattern::new(pattern).unwrap();
            yes.iter().for_each(|text| assert!(matcher.matches(text), "{pattern} {text}"));
            no.iter().for_each(|text| assert!(!matcher.matches(text), "{pattern} {text}"));
        }
    }

    #[test]
    fn what_would_not_do_what_its_author_thinks_is_refused() {
        for pattern in ["", "a**", "**a/b", "v[0-9]", "{a,b}", "a?", "\\*", "a/***"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        for pattern in [
            "team/**",
            "app",
            "x.y//a",
            "x.y/",
            "x.y/../a",
            "x.y/Team/*",
            "x.y/app:1",
            "x.y/app@sha256:0",
            "https://x.y/a",
        ] {
            assert!(Pattern::of_repositories(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_patterns_host_is_written_as_a_names_host() {
        for (pattern, repository) in [
            ("REGISTRY.example.com/team/**", "registry.example.com/team/app"),
            ("registry.example.com:5000/*", "registry.example.com:5000/app"),
            ("docker.io/*", "docker.io/app"),
            ("docker.io/team/*", "docker.io/team/app"),
            ("docker.io/**", "docker.io/team/app"),
            ("localhost:5000/app", "localhost:5000/app"),
        ] {
            let repository = repository.parse::<Repository>().unwrap().to_string();
            assert!(repositories(pattern).matches(&repository), "{pattern} {repository}");
        }
        assert!(!repositories("docker.io/*").matches("docker.io/team/app"));
    }

    /// What parts of nothing and doubled `**` mean is not the same everywhere; paths do not have them.
    fn pattern() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            1 => Just("**".to_owned()),
            3 => "[ab]\\*?[ab]?\\*?a?".prop_map(|part| part.replace("**", "*")),
            1 => "\\*[ab]{0,2}",
        ];
        proptest::collection::vec(part, 1..5).prop_map(|parts| {
            let twice = |pair: &[String]| pair[0] == "**" && pair[1] == "**";
            if parts.windows(2).any(twice) { "a/**/b".to_owned() } else { parts.join("/") }
        })
    }

    proptest! {
        #[test]
        fn what_it_matches_is_what_globset_matches(pattern in pattern(), text in "[ab]{1,3}(/[ab]{1,3}){0,4}") {
            let glob = GlobBuilder::new(&pattern).literal_separator(true).build().unwrap().compile_matcher();
            prop_assert_eq!(Pattern::new(&pattern).unwrap().matches(&text), glob.is_match(&text), "{} {}", pattern, text);
        }
    }
}
