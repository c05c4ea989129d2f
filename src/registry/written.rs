//! What was written at tags a moment ago.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Digest;
use crate::ports::Manifest;

/// What stood at tags before they were written here, for [`Written::LIFE`] and at most [`Written::MAX`] tags. Some registries
/// show that for a moment longer. Who takes it for the truth writes on top of it, and what was written in between is lost.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<HashMap<String, Before>>);

#[derive(Debug)]
struct Before {
    /// What the tag named, oldest first.
    manifests: Vec<Digest>,
    last: Instant,
}

impl Written {
    /// Longer than registries are known to lag.
    pub(super) const LIFE: Duration = Duration::from_secs(30);
    pub(super) const MAX: usize = 4096;

    /// Writes in short order that are remembered of one tag.
    const DEPTH: usize = 64;

    /// At `tag`, `now` was written in place of `before`.
    pub(super) fn remember(&self, repository: &str, tag: &str, before: Option<Digest>, now: Digest) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(repository, tag);
        if written.len() >= Self::MAX && !written.contains_key(&key) {
            written.retain(|_, before| before.is_recent());
            if written.len() >= Self::MAX
                && let Some(any) = written.keys().next().cloned()
            {
                written.remove(&any);
            }
        }
        let tag =
            written.entry(key).or_insert_with(|| Before { manifests: Vec::new(), last: Instant::now() });
        if !tag.is_recent() {
            tag.manifests.clear();
        }
        tag.last = Instant::now();
        tag.manifests.retain(|known| Some(*known) != before && *known != now);
        tag.manifests.extend(before);
        if tag.manifests.len() > Self::DEPTH {
            tag.manifests.remove(0);
        }
    }

    /// Whether `seen`, which the registry shows at `tag`, is what was there before a recent write. Nothing is that, too.
    pub(super) fn replaced(&self, repository: &str, tag: &str, seen: Option<&Manifest>) -> bool {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written
            .get(&key(repository, tag))
            .filter(|before| before.is_recent())
            .is_some_and(|before| seen.is_none_or(|seen| before.manifests.contains(&seen.digest())))
    }

    /// Somebody else has changed the tag back.
    pub(super) fn forget(&self, repository: &str, tag: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(repository, tag));
    }
}

impl Before {
    fn is_recent(&self) -> bool {
        self.last.elapsed() < Written::LIFE
    }
}

fn key(repository: &str, tag: &str) -> String {
    format!("{repository}:{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(content: &str) -> Manifest {
        Manifest { media_type: "text/plain".to_owned(), bytes: content.into() }
    }

    fn digest(content: &str) -> Digest {
        Digest::of(content.as_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_replaced_is_known_for_a_while() {
        let written = Written::default();
        let replaced = |seen: Option<&str>| written.replaced("app", "1", seen.map(manifest).as_ref());
        assert!(!replaced(None));
        written.remember("app", "1", None, digest("one"));
        written.remember("app", "1", Some(digest("one")), digest("two"));
        for (seen, expected) in
            [(None, true), (Some("one"), true), (Some("two"), false), (Some("theirs"), false)]
        {
            assert_eq!(replaced(seen), expected, "{seen:?}");
        }
        assert!(!written.replaced("app", "2", None));
        // What is written again is the present.
        written.remember("app", "1", Some(digest("two")), digest("one"));
        assert!(!replaced(Some("one")) && replaced(Some("two")));
        tokio::time::advance(Written::LIFE).await;
        assert!(!replaced(None));
        written.remember("app", "1", Some(digest("one")), digest("three"));
        assert!(!replaced(Some("two")) && replaced(Some("one")));
        written.forget("app", "1");
        assert!(!replaced(Some("one")));
    }

    #[tokio::test]
    async fn the_number_of_tags_and_of_their_writes_is_bounded() {
        let written = Written::default();
        for n in 0..=Written::MAX {
            written.remember("app", &n.to_string(), None, digest("one"));
        }
        for n in 0..=Written::DEPTH {
            written.remember("app", "1", Some(digest(&n.to_string())), digest("one"));
        }
        let tags = written.0.lock().unwrap();
        assert_eq!(tags.len(), Written::MAX);
        assert!(tags.values().all(|before| before.manifests.len() <= Written::DEPTH));
    }
}
