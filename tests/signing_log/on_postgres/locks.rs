//! Locks between replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::{join_all, poll_immediate};
use signet::domain::{Digest, ImageReference};
use signet::ports::SharedLocks;
use tokio::time::timeout;

use crate::fixtures::Place;
use crate::support::postgres;

/// Longer than any of this should take.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_at_a_time_holds_an_image() {
    let place = Place::postgres().await;
    let replicas = [locks(&place), locks(&place), locks(&place)];
    let holders = AtomicU32::new(0);
    let turns = join_all(replicas.iter().map(async |locks| {
        for _ in 0..20 {
            let lock = locks.lock(&image("one")).await.unwrap();
            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "nobody else is in");
            tokio::task::yield_now().await;
            holders.fetch_sub(1, Ordering::SeqCst);
            drop(lock);
        }
    }));
    timeout(3 * SOON, turns).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_do_not_wait_for_each_other() {
    let place = Place::postgres().await;
    let (one, other) = (locks(&place), locks(&place));
    let held = one.lock(&image("one")).await.unwrap();
    let others = join_all((0..50).map(async |number| other.lock(&image(&number.to_string())).await.unwrap()));
    assert_eq!(timeout(SOON, others).await.unwrap().len(), 50);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_given_back_when_its_guard_is_dropped() {
    let place = Place::postgres().await;
    let (one, other) = (locks(&place), locks(&place));
    let held = one.lock(&image("one")).await.unwrap();
    let wanted = image("one");
    let mut waiting = other.lock(&wanted);
    assert!(timeout(Duration::from_millis(300), &mut waiting).await.is_err(), "it is held");
    drop(held);
    timeout(SOON, waiting).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_while_asking_keeps_nothing() {
    let place = Place::postgres().await;
    let (one, other) = (locks(&place), locks(&place));
    for _ in 0..30 {
        let wanted = image("one");
        let mut asking = one.lock(&wanted);
        // Sent, and not waited for.
        assert!(poll_immediate(&mut asking).await.is_none());
        drop(asking);
    }
    timeout(SOON, other.lock(&image("one"))).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_a_holder_who_dies_is_free_and_the_holder_can_lock_again() {
    let place = Place::postgres().await;
    let (one, other) = (locks(&place), locks(&place));
    let held = one.lock(&image("one")).await.unwrap();
    let admin = postgres::connect(place.url.as_ref().unwrap()).await;
    let killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(admin.query_one(killed, &[]).await.unwrap().get::<_, i64>(0), 1);

    let taken = timeout(SOON, other.lock(&image("one"))).await.unwrap().unwrap();
    // The first learns nothing of it, and its guard gives back what is no longer its own.
    drop(held);
    let wanted = image("one");
    let mut again = one.lock(&wanted);
    assert!(timeout(Duration::from_millis(300), &mut again).await.is_err(), "the other one holds it");
    drop(taken);
    timeout(SOON, again).await.unwrap().unwrap();
    timeout(SOON, one.lock(&image("another"))).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_stays_held_is_an_error_after_a_minute() {
    let place = Place::postgres().await;
    let (one, other) = (locks(&place), locks(&place));
    let _held = one.lock(&image("one")).await.unwrap();
    let waited = tokio::time::Instant::now();
    let error = other.lock(&image("one")).await.err().unwrap();
    assert!((59..70).contains(&waited.elapsed().as_secs()), "{:?}", waited.elapsed());
    assert!(error.to_string().contains("another replica"), "{error}");
}

fn locks(place: &Place) -> Arc<dyn SharedLocks> {
    place.open().unwrap_or_else(|error| panic!("{error}")).locks
}

fn image(name: &str) -> ImageReference {
    format!("registry.example.com/team/{name}@{}", Digest::of(b"image")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_at_a_time_does_a_work_and_another_takes_over() {
    let place = Place::postgres().await;
    let (one, other) = (locks(&place), locks(&place));
    let held = one.lock_work("archive").await.unwrap();
    assert!(held.is_some());
    assert!(other.lock_work("archive").await.unwrap().is_none(), "it is not waited for");
    assert!(other.lock_work("push siem").await.unwrap().is_some(), "another work");
    drop(held);
    let taken = async {
        while other.lock_work("archive").await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, taken).await.unwrap();
}
