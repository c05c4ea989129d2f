//! How much of the log somebody may see.

use super::{Entry, Pattern, Repository};

/// The part of the log that somebody may see, by repository. What has no repository (files, and what the service tells of itself) is
/// seen by those alone who see everything but what is hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    shown: Shown,
    hidden: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    Everything,
    Repositories(Vec<Pattern>),
}

impl Reach {
    /// The whole log.
    pub const fn whole() -> Self {
        Self::all_but(Vec::new())
    }

    pub const fn nothing() -> Self {
        Self::of(Vec::new(), Vec::new())
    }

    /// Everything but the repositories that one of `hidden` fits.
    pub const fn all_but(hidden: Vec<Pattern>) -> Self {
        Self { shown: Shown::Everything, hidden }
    }

    /// The repositories that one of `shown` fits and none of `hidden`.
    pub const fn of(shown: Vec<Pattern>, hidden: Vec<Pattern>) -> Self {
        Self { shown: Shown::Repositories(shown), hidden }
    }

    /// Whether nothing at all is out of reach.
    pub const fn is_whole(&self) -> bool {
        matches!(self.shown, Shown::Everything) && self.hidden.is_empty()
    }

    /// Whether what is of this repository, or of none, is within reach.
    pub fn sees(&self, repository: Option<&Repository>) -> bool {
        match (repository, &self.shown) {
            (_, Shown::Everything) if self.hidden.is_empty() => true,
            (Some(repository), _) => self.sees_named(&repository.to_string()),
            (None, Shown::Everything) => true,
            (None, Shown::Repositories(_)) => false,
        }
    }

    /// As [`Reach::sees`], of a repository as it is written: `host/path`.
    pub fn sees_named(&self, repository: &str) -> bool {
        let one_fits = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(repository));
        let is_shown = match &self.shown {
            Shown::Everything => true,
            Shown::Repositories(shown) => one_fits(shown),
        };
        is_shown && !one_fits(&self.hidden)
    }

    /// Whether the entry that these bytes are is within reach. What can not be read may speak of any repository, and is seen by those
    /// who see the whole log.
    pub fn sees_bytes(&self, bytes: &[u8]) -> bool {
        self.is_whole()
            || serde_json::from_slice::<Entry>(bytes).is_ok_and(|entry| self.sees(entry.repository()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::of_repositories(text).unwrap()).collect()
    }

    #[test]
    fn what_is_hidden_is_not_seen_whatever_is_shown() {
        let team = || patterns(&["x.y/team/**", "x.y/app"]);
        let secret = || patterns(&["x.y/team/secret/**"]);
        for (reach, app, secrets, others, none) in [
            (Reach::whole(), true, true, true, true),
            (Reach::nothing(), false, false, false, false),
            (Reach::all_but(secret()), true, false, true, true),
            (Reach::of(team(), Vec::new()), true, true, false, false),
            (Reach::of(team(), secret()), true, false, false, false),
            (Reach::of(team(), patterns(&["**"])), false, false, false, false),
        ] {
            let sees = |name: &str| reach.sees(Some(&name.parse().unwrap()));
            assert_eq!((sees("x.y/app"), sees("x.y/team/a/b")), (app, app), "{reach:?}");
            assert_eq!(sees("x.y/team/secret/a"), secrets, "{reach:?}");
            assert_eq!((sees("x.y/other"), sees("y.x/app")), (others, others), "{reach:?}");
            assert_eq!(reach.sees(None), none, "{reach:?}");
            assert_eq!(reach.is_whole(), app && secrets && others && none, "{reach:?}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_of_the_whole_log() {
        let unreadable = br#"{"v":1,"kind":"of-a-later-version","repository":"x.y/team/secret/a"}"#;
        assert!(Reach::whole().sees_bytes(unreadable));
        assert!(!Reach::all_but(patterns(&["x.y/team/secret/**"])).sees_bytes(unreadable));
        assert!(!Reach::of(patterns(&["**"]), Vec::new()).sees_bytes(unreadable));
    }
}
