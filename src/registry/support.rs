//! What is remembered of the referrers API.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Which repositories have the referrers API, for [`Support::LIFE`] and at most [`Support::MAX`]
/// repositories. By repository, because one host may serve several registries.
#[derive(Debug, Default)]
pub(super) struct Support(Mutex<HashMap<String, (bool, Instant)>>);

impl Support {
    pub(super) const LIFE: Duration = Duration::from_secs(10 * 60);
    pub(super) const MAX: usize = 4096;

    /// Whether `repository` has the API; `None` where that is not known.
    pub(super) fn of(&self, repository: &str) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (supported, since) = known.get(repository)?;
        (since.elapsed() < Self::LIFE).then_some(*supported)
    }

    pub(super) fn remember(&self, repository: &str, supported: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::MAX && !known.contains_key(repository) {
            known.retain(|_, (_, since)| since.elapsed() < Self::LIFE);
            if known.len() >= Self::MAX
                && let Some(any) = known.keys().next().cloned()
            {
                known.remove(&any);
            }
        }
        // What was learnt first counts: it is asked again when that is old, however busy the repository is.
        match known.get(repository) {
            Some((same, since)) if *same == supported && since.elapsed() < Self::LIFE => {}
            _ => {
                known.insert(repository.to_owned(), (supported, Instant::now()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_learnt_is_asked_again_after_ten_minutes() {
        let support = Support::default();
        assert_eq!(support.of("app"), None);
        support.remember("app", false);
        tokio::time::advance(Support::LIFE / 2).await;
        support.remember("app", false);
        assert_eq!(support.of("app"), Some(false));
        tokio::time::advance(Support::LIFE / 2).await;
        assert_eq!(support.of("app"), None);
        support.remember("app", true);
        assert_eq!(support.of("app"), Some(true));
    }

    #[tokio::test]
    async fn the_number_of_repositories_is_bounded() {
        let support = Support::default();
        for n in 0..=Support::MAX {
            support.remember(&n.to_string(), true);
        }
        assert_eq!(support.0.lock().unwrap().len(), Support::MAX);
    }
}
