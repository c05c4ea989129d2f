//! Callers' own keys, and the answers that they got.

use signet::domain::Digest;
use signet::ports::{Idempotency as _, IdempotencyId, KeptAnswer, Recalled};

use crate::fixtures::{Place, at, contract};

contract! {
    a_key_stands_for_its_first_request_alone,
    the_first_answer_is_kept_and_given_again,
    of_many_who_use_a_key_at_once_one_is_the_first,
    what_is_old_is_forgotten_and_nothing_else,
    an_answer_for_a_key_that_is_not_bound_is_given_and_not_kept,
    keys_and_principals_of_any_size_and_sort_are_told_apart,
    what_was_kept_is_there_after_a_restart,
}

async fn a_key_stands_for_its_first_request_alone(place: Place) {
    let log = place.log();
    let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
    assert_eq!(log.recall(&id("ci", "key"), one, at(0)).await, Ok(Recalled::New));
    assert_eq!(log.recall(&id("ci", "key"), one, at(1)).await, Ok(Recalled::Unanswered));
    assert_eq!(log.recall(&id("ci", "key"), other, at(1)).await, Ok(Recalled::Conflict));
    assert_eq!(log.recall(&id("ci", "KEY"), other, at(1)).await, Ok(Recalled::New));
    assert_eq!(log.recall(&id("night", "key"), other, at(1)).await, Ok(Recalled::New));
}

async fn the_first_answer_is_kept_and_given_again(place: Place) {
    let log = place.log();
    let request = Digest::of(b"request");
    log.recall(&id("ci", "key"), request, at(0)).await.unwrap();
    let first = KeptAnswer { location: Some("/v1/signatures/1".to_owned()), ..answer("first") };
    assert_eq!(log.keep(&id("ci", "key"), first.clone()).await, Ok(first.clone()));
    assert_eq!(log.keep(&id("ci", "key"), answer("second")).await, Ok(first.clone()));
    assert_eq!(log.recall(&id("ci", "key"), request, at(1)).await, Ok(Recalled::Answered(first)));
    assert_eq!(log.recall(&id("ci", "key"), Digest::of(b"other"), at(1)).await, Ok(Recalled::Conflict));
}

async fn of_many_who_use_a_key_at_once_one_is_the_first(place: Place) {
    let log = place.log();
    let request = Digest::of(b"request");
    let key = id("ci", "key");
    let recalls = (0..100).map(|_| log.recall(&key, request, at(0)));
    let recalled = futures::future::join_all(recalls).await;
    let new = recalled.iter().filter(|recalled| **recalled == Ok(Recalled::New)).count();
    let others = recalled.iter().filter(|recalled| **recalled == Ok(Recalled::Unanswered)).count();
    assert_eq!((new, others), (1, 99));

    let answers = (0..50).map(|number| log.keep(&key, answer(&number.to_string())));
    let kept = futures::future::join_all(answers).await;
    assert!(kept.iter().all(|answer| answer.is_ok() && *answer == kept[0]), "{kept:?}");
}

async fn what_is_old_is_forgotten_and_nothing_else(place: Place) {
    let log = place.log();
    let request = Digest::of(b"request");
    let ids: Vec<_> = (0..2500).map(|number| id("ci", &number.to_string())).collect();
    futures::future::join_all(ids.iter().map(|id| log.recall(id, request, at(10)))).await;
    log.recall(&id("ci", "young"), request, at(20)).await.unwrap();
    log.keep(&id("ci", "young"), answer("young")).await.unwrap();

    assert_eq!(log.forget(at(10)).await, Ok(0));
    assert_eq!(log.forget(at(20)).await, Ok(2500));
    assert_eq!(log.forget(at(20)).await, Ok(0));
    let young = log.recall(&id("ci", "young"), request, at(30)).await;
    assert_eq!(young, Ok(Recalled::Answered(answer("young"))));
    assert_eq!(log.recall(&ids[0], Digest::of(b"other"), at(30)).await, Ok(Recalled::New));
}

async fn an_answer_for_a_key_that_is_not_bound_is_given_and_not_kept(place: Place) {
    let log = place.log();
    assert_eq!(log.keep(&id("ci", "key"), answer("late")).await, Ok(answer("late")));
    assert_eq!(log.recall(&id("ci", "key"), Digest::of(b"request"), at(0)).await, Ok(Recalled::New));
}

async fn keys_and_principals_of_any_size_and_sort_are_told_apart(place: Place) {
    let log = place.log();
    let request = Digest::of(b"request");
    let noise: String =
        (0..60_000u32).filter_map(|n| char::from_u32(n.wrapping_mul(2_654_435_761) % 0xd800)).collect();
    for (principal, key) in [
        ("", "key"),
        ("c", "ikey"),
        ("ci", "key"),
        ("cik", "ey"),
        ("nul\0", "key"),
        ("'; DROP TABLE idempotency; --", "key"),
        (&noise, "key"),
        (&format!("{noise}x"), "key"),
        ("ci", &"~".repeat(255)),
    ] {
        assert_eq!(log.recall(&id(principal, key), request, at(0)).await, Ok(Recalled::New));
        let again = log.recall(&id(principal, key), request, at(0)).await;
        assert_eq!(again, Ok(Recalled::Unanswered));
    }
}

async fn what_was_kept_is_there_after_a_restart(place: Place) {
    let request = Digest::of(b"request");
    let large = KeptAnswer { body: vec![b'x'; 3_000_000], ..answer("") };
    let log = place.log();
    log.recall(&id("ci", "key"), request, at(0)).await.unwrap();
    log.keep(&id("ci", "key"), large.clone()).await.unwrap();
    log.close().await.unwrap();
    drop(log);
    let recalled = place.log().recall(&id("ci", "key"), request, at(1)).await;
    assert!(recalled == Ok(Recalled::Answered(large)));
}

fn id(principal: &str, key: &str) -> IdempotencyId {
    IdempotencyId { principal: principal.to_owned(), key: key.to_owned() }
}

fn answer(body: &str) -> KeptAnswer {
    KeptAnswer { status: 201, body: body.as_bytes().to_vec(), location: None }
}
