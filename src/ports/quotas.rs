use std::collections::BTreeMap;

use async_trait::async_trait;

use super::LogError;
use crate::domain::{Digest, Timestamp};

/// Uses that are to be taken out of budgets: out of all of them, or out of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// By the name of the budget, which everybody who shares it has to make the same.
    uses: BTreeMap<Digest, Uses>,
    now: Timestamp,
}

/// Uses of one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses {
    pub amount: u32,
    /// How many uses may count at the same time.
    pub limit: u32,
    /// What is used in the same slot is counted, and forgotten, together.
    pub slot: i64,
    /// From when on they do not count any more.
    pub expires: Timestamp,
}

/// What became of a [`Taking`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All uses are counted, durably.
    Yes,
    /// Nothing is counted.
    Exhausted {
        /// The budget that did not reach: of several, the one that takes longest to.
        budget: Digest,
        /// When it will reach as far as is known; none where it never will.
        again: Option<Timestamp>,
    },
}

/// How often something may be done: counted over restarts and replicas.
#[async_trait]
pub trait Quotas: Send + Sync {
    /// Counts uses where every one of their budgets reaches. Of several callers at once, in whatever process, no two get the
    /// same use.
    ///
    /// # Errors
    /// Where they could not be counted durably. Nothing may be done then.
    async fn take(&self, taking: Taking) -> Result<Taken, LogError>;

    /// Forgets uses that have expired before `before`; returns how many records that was.
    async fn forget_uses(&self, before: Timestamp) -> Result<u64, LogError>;
}

impl Taking {
    pub const fn at(now: Timestamp) -> Self {
        Self { uses: BTreeMap::new(), now }
    }

    /// Takes `uses` out of `budget`, too. Of the same budget again, the amounts are added up, and the lower limit holds.
    pub fn add(&mut self, budget: Digest, uses: Uses) {
        let all = self.uses.entry(budget).or_insert(Uses { amount: 0, ..uses });
        all.amount = all.amount.saturating_add(uses.amount);
        all.limit = all.limit.min(uses.limit);
    }

    pub fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// In the order of the budgets' names.
    pub fn uses(&self) -> impl Iterator<Item = (Digest, Uses)> {
        self.uses.iter().map(|(budget, uses)| (*budget, *uses))
    }

    /// Whether every budget reaches. `counted` tells of each what counts at [`Taking::now`]: how much, and until when.
    pub fn against<E>(
        &self,
        mut counted: impl FnMut(Digest) -> Result<Vec<(u32, Timestamp)>, E>,
    ) -> Result<Taken, E> {
        // "Never" comes last.
        let mut latest: Option<(bool, Option<Timestamp>, Digest)> = None;
        for (budget, uses) in self.uses() {
            if let Some(again) = uses.missing(counted(budget)?) {
                latest = latest.max(Some((again.is_none(), again, budget)));
            }
        }
        Ok(latest.map_or(Taken::Yes, |(_, again, budget)| Taken::Exhausted { budget, again }))
    }
}

impl Uses {
    /// None where the budget reaches beside what is `counted`; else when it will, if ever.
    fn missing(self, mut counted: Vec<(u32, Timestamp)>) -> Option<Option<Timestamp>> {
        let used: u64 = counted.iter().map(|(count, _)| u64::from(*count)).sum();
        let mut over = (used + u64::from(self.amount)).saturating_sub(self.limit.into());
        if over == 0 {
            return None;
        }
        counted.sort_unstable_by_key(|(_, expires)| *expires);
        for (count, expires) in counted {
            over = over.saturating_sub(count.into());
            if over == 0 {
                return Some(Some(expires));
            }
        }
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn uses(amount: u32, limit: u32) -> Uses {
        Uses { amount, limit, slot: 0, expires: at(3600) }
    }

    fn against(taking: &Taking, counted: &[(Digest, u32, i64)]) -> Taken {
        let of = |budget| counted.iter().filter(move |(name, ..)| *name == budget);
        let counted = |budget| {
            Ok::<_, std::convert::Infallible>(
                of(budget).map(|(_, count, expires)| (*count, at(*expires))).collect(),
            )
        };
        let Ok(taken) = taking.against(counted);
        taken
    }

    #[test]
    fn it_is_told_when_enough_of_the_oldest_has_expired() {
        let budget = Digest::of(b"budget");
        let counted = [(budget, 2, 30), (budget, 2, 10), (budget, 1, 20)];
        for (amount, again) in
            [(1, Some(10)), (2, Some(10)), (3, Some(20)), (4, Some(30)), (5, Some(30)), (6, None)]
        {
            let mut taking = Taking::at(at(0));
            taking.add(budget, uses(amount, 5));
            let again = again.map(at);
            assert_eq!(against(&taking, &counted), Taken::Exhausted { budget, again }, "{amount}");
        }
    }

    #[test]
    fn the_budget_that_takes_longest_is_told() {
        let (soon, late, never) = (Digest::of(b"soon"), Digest::of(b"late"), Digest::of(b"never"));
        let mut taking = Taking::at(at(0));
        taking.add(soon, uses(1, 1));
        taking.add(late, uses(1, 1));
        let counted = [(soon, 1, 10), (late, 1, 20)];
        assert_eq!(against(&taking, &counted), Taken::Exhausted { budget: late, again: Some(at(20)) });
        taking.add(never, uses(2, 1));
        assert_eq!(against(&taking, &counted), Taken::Exhausted { budget: never, again: None });
    }

    #[test]
    fn what_is_added_twice_to_a_budget_is_counted_together() {
        let budget = Digest::of(b"budget");
        let mut taking = Taking::at(at(0));
        taking.add(budget, uses(1, 2));
        assert_eq!(against(&taking, &[]), Taken::Yes);
        taking.add(budget, uses(2, 3));
        assert_eq!(against(&taking, &[]), Taken::Exhausted { budget, again: None });
    }
}
