//! How many signatures somebody gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Caller, Service, ServiceError};
use crate::domain::{Digest, Principal, Timestamp};
use crate::ports::{Quotas, RuleLimits, Taken, Taking, Uses};

/// Where signatures are counted.
pub struct Budgets {
    pub quotas: Arc<dyn Quotas>,
    /// Over all rules: those of each principal, and of each token.
    pub limits: RuleLimits,
}

/// What a signature that is about to be made is counted for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost<'a> {
    /// The rule that allows it.
    pub(super) rule: Option<&'a str>,
    pub(super) limits: RuleLimits,
}

/// Signatures of one request that have been counted. What is tried again is not counted twice.
#[derive(Debug, Default)]
pub(super) struct Paid(AtomicUsize);

/// A budget of signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Of one rule; else of all.
    pub rule: Option<String>,
    pub per: Per,
    pub limit: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Hour,
    Token,
}

impl Budgets {
    /// Counts a signature for each of `costs`, in every budget that it comes out of: durably, and before Vault is asked.
    /// A budget of a token is there for tokens that tell themselves apart: those of issuers.
    ///
    /// # Errors
    /// [`ServiceError::RateLimited`] where a budget does not reach for all of them; then none is counted. Where nothing
    /// can be counted, nothing may be signed.
    pub(super) async fn spend<'a>(
        &self,
        principal: &Principal,
        paid: &Paid,
        costs: impl Iterator<Item = Cost<'a>>,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        let already = paid.0.load(Ordering::Relaxed);
        let (mut taking, mut budgets, mut count) = (Taking::at(now), Vec::new(), 0);
        for cost in costs.skip(already) {
            count += 1;
            let of_all = Cost { rule: None, limits: self.limits };
            for (budget, until) in [cost, of_all].into_iter().flat_map(|cost| cost.budgets(principal, now)) {
                let name = budget.name(principal);
                taking.add(name, budget.one(until, now));
                budgets.push((name, budget));
            }
        }
        if !taking.is_empty()
            && let Taken::Exhausted { budget: exhausted, again } = self.quotas.take(taking).await?
        {
            let named = budgets.into_iter().find(|(name, _)| *name == exhausted);
            let (_, budget) = named.expect("invariant: it is one of those that were asked for");
            return Err(ServiceError::RateLimited { retry_after: wait(&budget, again, now), budget });
        }
        paid.0.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }
}

impl Service {
    /// As [`Budgets::spend`], now.
    pub(super) async fn spend<'a>(
        &self,
        caller: &Caller,
        paid: &Paid,
        costs: impl Iterator<Item = Cost<'a>>,
    ) -> Result<(), ServiceError> {
        let spent = self.budgets.spend(&caller.principal, paid, costs, self.clock.now()).await;
        if let Err(ServiceError::RateLimited { .. }) = &spent {
            self.metrics.rate_limited();
        }
        spent
    }
}

impl Cost<'_> {
    /// The budgets that a signature comes out of, and until when it counts in each.
    fn budgets(self, principal: &Principal, now: Timestamp) -> impl Iterator<Item = (Budget, Timestamp)> {
        let budget = move |per, limit: std::num::NonZeroU32| Budget {
            rule: self.rule.map(str::to_owned),
            per,
            limit: limit.get(),
        };
        let hour = self.limits.per_hour.map(|limit| (budget(Per::Hour, limit), end_of_hour(now)));
        let expires = match principal {
            Principal::Workload(workload) => Some(workload.expires),
            Principal::Token { .. } | Principal::Certificate(_) => None,
        };
        let token = self.limits.per_token.zip(expires).map(|(limit, expires)| {
            let until = expires.checked_add(SKEW).unwrap_or(Timestamp::MAX);
            (budget(Per::Token, limit), until)
        });
        hour.into_iter().chain(token)
    }
}

impl Budget {
    /// What tells this budget of `principal` from all others.
    fn name(&self, principal: &Principal) -> Digest {
        let whose = match (self.per, principal) {
            (Per::Token, Principal::Workload(workload)) => workload.token.to_string(),
            _ => principal.to_string(),
        };
        let per = match self.per {
            Per::Hour => "hour",
            Per::Token => "token",
        };
        let rule = self.rule.as_ref().map_or("all rules".to_owned(), |rule| format!("rule {rule}"));
        let mut name = Vec::new();
        for part in [per, &rule, &whose] {
            name.extend((part.len() as u64).to_be_bytes());
            name.extend(part.as_bytes());
        }
        Digest::of(&name)
    }

    fn one(&self, expires: Timestamp, now: Timestamp) -> Uses {
        let slot = match self.per {
            Per::Hour => now.as_second().div_euclid(60),
            Per::Token => 0,
        };
        Uses { amount: 1, limit: self.limit, slot, expires }
    }
}

/// How much longer a token may be taken than it says.
const SKEW: Duration = Duration::from_secs(60 * 60);

/// The longest time that anybody is told to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 61);

/// What is used in a minute counts until that minute was an hour ago as a whole: so within any hour, no more than the limit
/// is used.
fn end_of_hour(now: Timestamp) -> Timestamp {
    let minute = now.as_second().div_euclid(60) + 61;
    Timestamp::from_second(minute * 60).unwrap_or(Timestamp::MAX)
}

/// None where waiting is of no use.
fn wait(budget: &Budget, again: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let again = again.filter(|_| budget.per == Per::Hour)?;
    let wait = Duration::try_from(again.duration_since(now)).unwrap_or_default();
    Some(wait.clamp(Duration::from_secs(1), LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::domain::{Claims, Workload};
    use crate::ports::LogError;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_use_counts_for_an_hour_at_least_and_a_minute_more_at_most() {
        for second in [0, 1, 59, 60, 3599, -1] {
            let counts = end_of_hour(at(second)).as_second() - second;
            assert!((3601..=3660).contains(&counts), "{second}: {counts}");
        }
    }

    #[test]
    fn budgets_of_other_rules_principals_and_times_are_others() {
        let budget = |rule: Option<&str>, per| Budget { rule: rule.map(str::to_owned), per, limit: 1 };
        let named = |name: &str| Principal::Token { name: name.to_owned() };
        let names = [
            budget(None, Per::Hour).name(&named("ci")),
            budget(Some("a"), Per::Hour).name(&named("ci")),
            budget(Some("a"), Per::Token).name(&named("ci")),
            budget(Some("b"), Per::Hour).name(&named("ci")),
            budget(Some("a"), Per::Hour).name(&named("night")),
        ];
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
    }

    #[test]
    fn nobody_is_told_to_wait_for_a_token_or_for_what_never_comes() {
        let budget = |per| Budget { rule: None, per, limit: 1 };
        assert_eq!(wait(&budget(Per::Hour), Some(at(90)), at(60)), Some(Duration::from_secs(30)));
        assert_eq!(wait(&budget(Per::Hour), Some(at(90)), at(100)), Some(Duration::from_secs(1)));
        assert_eq!(wait(&budget(Per::Hour), None, at(0)), None);
        assert_eq!(wait(&budget(Per::Token), Some(at(90)), at(0)), None);
    }

    /// Counts in memory.
    #[derive(Default)]
    struct Counts(Mutex<Vec<(Digest, u32, Timestamp)>>);

    #[async_trait]
    impl Quotas for Counts {
        async fn take(&self, taking: Taking) -> Result<Taken, LogError> {
            let mut counts = self.0.lock().unwrap();
            let of = |budget| {
                let counts =
                    counts.iter().filter(|(name, _, until)| *name == budget && *until > taking.now());
                Ok::<_, LogError>(counts.map(|(_, count, until)| (*count, *until)).collect())
            };
            let taken = taking.against(of)?;
            if taken == Taken::Yes {
                counts.extend(taking.uses().map(|(budget, uses)| (budget, uses.amount, uses.expires)));
            }
            Ok(taken)
        }

        async fn forget_uses(&self, _: Timestamp) -> Result<u64, LogError> {
            Ok(0)
        }
    }

    fn budgets(per_hour: u32, per_token: u32) -> Budgets {
        Budgets { quotas: Arc::new(Counts::default()), limits: limits(per_hour, per_token) }
    }

    /// 0 is no limit.
    fn limits(per_hour: u32, per_token: u32) -> RuleLimits {
        RuleLimits { per_hour: NonZeroU32::new(per_hour), per_token: NonZeroU32::new(per_token) }
    }

    fn job(token: &str) -> Principal {
        Principal::Workload(Arc::new(Workload {
            issuer: "gitlab".to_owned(),
            name: "team/app".to_owned(),
            claims: Claims::new(),
            token: Digest::of(token.as_bytes()),
            expires: at(300),
        }))
    }

    /// The budget that did not reach for so many signatures by the rule, and how long to wait.
    async fn spend(
        budgets: &Budgets,
        who: &Principal,
        rule: (&str, RuleLimits),
        count: usize,
        second: i64,
    ) -> Option<(Budget, Option<u64>)> {
        let costs = std::iter::repeat_n(Cost { rule: Some(rule.0), limits: rule.1 }, count);
        match budgets.spend(who, &Paid::default(), costs, at(second)).await {
            Ok(()) => None,
            Err(ServiceError::RateLimited { budget, retry_after }) => {
                Some((budget, retry_after.map(|wait| wait.as_secs())))
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_rules_hour_is_each_principals_own_and_ends() {
        let (budgets, rule) = (budgets(0, 0), ("payments", limits(3, 0)));
        assert_eq!(spend(&budgets, &job("a"), rule, 2, 30).await, None);
        assert_eq!(spend(&budgets, &job("b"), rule, 1, 100).await, None);
        let hour = Budget { rule: Some("payments".to_owned()), per: Per::Hour, limit: 3 };
        // Another job of the same name is the same principal. Two of the first minute end with it, one later.
        let spent = spend(&budgets, &job("c"), rule, 2, 200).await;
        assert_eq!(spent, Some((hour.clone(), Some(3660 - 200))));
        assert_eq!(spend(&budgets, &job("c"), rule, 3, 200).await, Some((hour.clone(), Some(3720 - 200))));
        assert_eq!(spend(&budgets, &job("c"), rule, 4, 200).await, Some((hour, None)));
        let other = Principal::Token { name: "ci".to_owned() };
        assert_eq!(spend(&budgets, &other, rule, 3, 200).await, None);
        assert_eq!(spend(&budgets, &job("c"), ("other", limits(3, 0)), 3, 200).await, None);
        assert_eq!(spend(&budgets, &job("c"), rule, 2, 3660).await, None);
    }

    #[tokio::test]
    async fn a_tokens_budget_is_spent_for_as_long_as_it_may_be_shown() {
        let (budgets, rule) = (budgets(0, 0), ("payments", limits(0, 2)));
        assert_eq!(spend(&budgets, &job("a"), rule, 2, 0).await, None);
        let token = Budget { rule: Some("payments".to_owned()), per: Per::Token, limit: 2 };
        for second in [0, 299, 300 + 300] {
            assert_eq!(spend(&budgets, &job("a"), rule, 1, second).await, Some((token.clone(), None)));
        }
        assert_eq!(spend(&budgets, &job("b"), rule, 2, 0).await, None, "another token of the same job");
        assert_eq!(spend(&budgets, &job("a"), ("other", limits(0, 2)), 2, 0).await, None);
        // What is no job's own is not counted by the token.
        let configured = Principal::Token { name: "ci".to_owned() };
        assert_eq!(spend(&budgets, &configured, rule, 100, 0).await, None);
    }

    #[tokio::test]
    async fn the_limits_over_all_rules_hold_besides_and_nothing_is_counted_where_one_does_not_reach() {
        let (budgets, wide) = (budgets(5, 4), limits(10, 10));
        assert_eq!(spend(&budgets, &job("a"), ("one", wide), 3, 0).await, None);
        let token = Budget { rule: None, per: Per::Token, limit: 4 };
        assert_eq!(spend(&budgets, &job("a"), ("two", wide), 2, 0).await, Some((token, None)));
        let hour = Budget { rule: None, per: Per::Hour, limit: 5 };
        assert_eq!(spend(&budgets, &job("b"), ("two", wide), 3, 0).await, Some((hour, Some(3660))));
        assert_eq!(spend(&budgets, &job("b"), ("two", wide), 2, 0).await, None);
    }

    #[tokio::test]
    async fn what_is_tried_again_is_paid_once() {
        let budgets = budgets(2, 0);
        let (paid, who) = (Paid::default(), job("a"));
        let costs = || std::iter::repeat_n(Cost { rule: None, limits: RuleLimits::default() }, 2);
        for _ in 0..3 {
            budgets.spend(&who, &paid, costs(), at(0)).await.unwrap();
        }
        assert!(budgets.spend(&who, &Paid::default(), costs(), at(0)).await.is_err());
    }
}
