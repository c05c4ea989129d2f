//! Budgets: how much was used, over restarts and replicas.

use futures::future::join_all;
use signet::domain::Digest;
use signet::ports::{Quotas as _, SigningLog as _, Taken, Taking, Uses};

use crate::fixtures::{Place, Story, all, at, contract, indexes};

contract! {
    a_budget_reaches_as_far_as_its_limit_and_no_further,
    what_was_used_counts_until_it_expires_and_it_is_told_when_that_is,
    all_budgets_are_counted_or_none_is,
    of_many_at_once_as_many_get_something_as_there_is,
    what_was_used_counts_after_a_restart,
    what_has_expired_is_forgotten_and_nothing_else,
    uses_and_entries_that_come_at_the_same_time_are_all_kept,
}

async fn a_budget_reaches_as_far_as_its_limit_and_no_further(place: Place) {
    let log = place.log();
    let budget = Digest::of(b"budget");
    assert_eq!(log.take(taking(0, &[(budget, 2, 5, 0, 100)])).await, Ok(Taken::Yes));
    assert_eq!(log.take(taking(0, &[(budget, 4, 5, 0, 100)])).await, Ok(exhausted(budget, Some(100))));
    assert_eq!(log.take(taking(0, &[(budget, 3, 5, 0, 100)])).await, Ok(Taken::Yes));
    assert_eq!(log.take(taking(0, &[(budget, 1, 5, 0, 100)])).await, Ok(exhausted(budget, Some(100))));
    assert_eq!(log.take(taking(0, &[(budget, 1, 6, 0, 100)])).await, Ok(Taken::Yes), "the limit was raised");
    assert_eq!(log.take(taking(0, &[(Digest::of(b"other"), 5, 5, 0, 100)])).await, Ok(Taken::Yes));
    let never = log.take(taking(0, &[(Digest::of(b"another"), 6, 5, 0, 100)])).await;
    assert_eq!(never, Ok(exhausted(Digest::of(b"another"), None)));
}

async fn what_was_used_counts_until_it_expires_and_it_is_told_when_that_is(place: Place) {
    let log = place.log();
    let budget = Digest::of(b"budget");
    for (slot, expires) in [(1, 110), (2, 120), (3, 130)] {
        assert_eq!(log.take(taking(slot, &[(budget, 1, 3, slot, expires)])).await, Ok(Taken::Yes));
    }
    for (amount, again) in [(1, Some(110)), (2, Some(120)), (3, Some(130)), (4, None)] {
        let taken = log.take(taking(50, &[(budget, amount, 3, 50, 150)])).await;
        assert_eq!(taken, Ok(exhausted(budget, again)), "{amount}");
    }
    assert_eq!(log.take(taking(109, &[(budget, 1, 3, 109, 209)])).await, Ok(exhausted(budget, Some(110))));
    assert_eq!(log.take(taking(110, &[(budget, 1, 3, 110, 210)])).await, Ok(Taken::Yes));
    assert_eq!(log.take(taking(110, &[(budget, 1, 3, 110, 210)])).await, Ok(exhausted(budget, Some(120))));
    // What is used in the same slot later counts as long as the last of it.
    assert_eq!(log.take(taking(130, &[(budget, 1, 3, 110, 230)])).await, Ok(Taken::Yes));
    assert_eq!(log.take(taking(211, &[(budget, 2, 3, 211, 311)])).await, Ok(exhausted(budget, Some(230))));
}

async fn all_budgets_are_counted_or_none_is(place: Place) {
    let log = place.log();
    let (wide, narrow) = (Digest::of(b"wide"), Digest::of(b"narrow"));
    let both = |amount| taking(0, &[(wide, amount, 10, 0, 100), (narrow, amount, 3, 0, 90)]);
    assert_eq!(log.take(both(2)).await, Ok(Taken::Yes));
    assert_eq!(log.take(both(2)).await, Ok(exhausted(narrow, Some(90))));
    assert_eq!(log.take(taking(0, &[(wide, 8, 10, 0, 100)])).await, Ok(Taken::Yes), "nothing was counted");
    assert_eq!(log.take(both(1)).await, Ok(exhausted(wide, Some(100))));
    assert_eq!(log.take(taking(0, &[(narrow, 1, 3, 0, 90)])).await, Ok(Taken::Yes));
}

async fn of_many_at_once_as_many_get_something_as_there_is(place: Place) {
    let log = place.log();
    let budgets = [Digest::of(b"one"), Digest::of(b"two")];
    let takes = (0..200).map(|n| log.take(taking(0, &[(budgets[n % 2], 1, 30, 0, 100)])));
    let taken = join_all(takes).await;
    assert_eq!(taken.iter().filter(|taken| **taken == Ok(Taken::Yes)).count(), 60);
    assert!(taken.iter().all(Result::is_ok));
}

async fn what_was_used_counts_after_a_restart(place: Place) {
    let budget = Digest::of(b"budget");
    let log = place.log();
    assert_eq!(log.take(taking(0, &[(budget, 3, 3, 0, 100)])).await, Ok(Taken::Yes));
    drop(log);
    let log = place.log();
    assert_eq!(log.take(taking(1, &[(budget, 1, 3, 0, 100)])).await, Ok(exhausted(budget, Some(100))));
}

async fn what_has_expired_is_forgotten_and_nothing_else(place: Place) {
    let log = place.log();
    let budget = Digest::of(b"budget");
    let many = (0..2500).map(|slot| log.take(taking(0, &[(budget, 1, 10_000, slot, 100)])));
    assert!(join_all(many).await.iter().all(|taken| *taken == Ok(Taken::Yes)));
    assert_eq!(log.take(taking(0, &[(budget, 1, 10_000, 9_999, 200)])).await, Ok(Taken::Yes));
    assert_eq!(log.forget_uses(at(100)).await, Ok(0));
    assert_eq!(log.forget_uses(at(101)).await, Ok(2500));
    assert_eq!(log.forget_uses(at(101)).await, Ok(0));
    assert_eq!(log.take(taking(101, &[(budget, 1, 1, 0, 300)])).await, Ok(exhausted(budget, Some(200))));
}

async fn uses_and_entries_that_come_at_the_same_time_are_all_kept(place: Place) {
    let log = place.log();
    let budget = Digest::of(b"budget");
    let entries = join_all((0..100).map(|_| log.append(vec![Story::new().intent()])));
    let takes = join_all((0..100).map(|_| log.take(taking(0, &[(budget, 1, 50, 0, 100)]))));
    let (entries, taken) = futures::future::join(entries, takes).await;
    assert!(entries.iter().all(Result::is_ok));
    assert_eq!(taken.iter().filter(|taken| **taken == Ok(Taken::Yes)).count(), 50);
    assert_eq!(indexes(&log, all()).await.len(), 100);
}

/// Budgets with amount, limit, slot and end.
pub fn taking(now: i64, budgets: &[(Digest, u32, u32, i64, i64)]) -> Taking {
    let mut taking = Taking::at(at(now));
    for (budget, amount, limit, slot, expires) in budgets {
        let (amount, limit, slot) = (*amount, *limit, *slot);
        taking.add(*budget, Uses { amount, limit, slot, expires: at(*expires) });
    }
    taking
}

fn exhausted(budget: Digest, again: Option<i64>) -> Taken {
    Taken::Exhausted { budget, again: again.map(at) }
}
