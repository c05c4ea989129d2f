//! Several Signets over one database.

use std::collections::BTreeMap;

use futures::future::join_all;
use signet::domain::{Content, Digest};
use signet::ports::{
    DeliveryChange, Idempotency as _, IdempotencyId, Outbox as _, Parcel, Quotas as _, Recalled, Session,
    Sessions as _, SigningLog as _, Taken,
};

use crate::fixtures::{Place, Story, all, at, entries_of, indexed, indexes, outside};
use crate::quotas::taking;
use crate::sessions::{fill, id, session};

#[tokio::test(flavor = "multi_thread")]
async fn indexes_of_two_writers_have_no_gaps_and_each_keeps_its_order() {
    let place = Place::postgres().await;
    let logs = [place.log(), place.log()];
    let log = &logs;
    let stories = [Story::new(), Story { principal: "other".to_owned(), ..Story::new() }];
    let appends = (0..2usize).flat_map(|writer| (0..16).map(move |_| writer)).map(async |writer| {
        let mut last = None;
        for _ in 0..20 {
            let first = log[writer].append(vec![stories[writer].intent(); 3]).await.unwrap();
            assert!(last < Some(first), "what is appended later comes later");
            last = Some(first);
        }
    });
    join_all(appends).await;
    let total: u64 = 2 * 16 * 20 * 3;
    let mut found = BTreeMap::new();
    for entry in entries_of(&logs[0], all()).await {
        let text = String::from_utf8(entry.bytes).unwrap();
        found.insert(entry.index, text.contains("token:other"));
    }
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), (0..total).collect::<Vec<_>>());
    let found: Vec<_> = found.into_values().collect();
    assert!(found.chunks(3).all(|three| three == [three[0]; 3]), "what is appended together lies together");
    assert_eq!(found.iter().filter(|other| **other).count() as u64, total / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_is_found_whatever_the_clocks_of_the_writers_say() {
    let place = Place::postgres().await;
    let logs = [place.log(), place.log()];
    for second in 0..40 {
        // The second writer's clock is ten minutes behind.
        let behind = i64::from(second % 2 == 1) * 600;
        let story = Story { second: second - behind, ..Story::new() };
        logs[usize::from(behind > 0)].append(vec![story.intent()]).await.unwrap();
    }
    let query = signet::ports::EntryQuery {
        filter: signet::domain::EntryFilter {
            from: Some(at(-600)),
            to: Some(at(-560)),
            ..signet::domain::EntryFilter::default()
        },
        ..all()
    };
    assert_eq!(indexes(&logs[0], query).await, (1..40).step_by(2).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_delivery_is_taken_by_one_replica() {
    let place = Place::postgres().await;
    let logs = [place.log(), place.log(), place.log()];
    let stories: Vec<_> = (0..300).map(|_| Story::new()).collect();
    let adds = stories.iter().map(async |story| {
        let parcel = Parcel { document: Content::from("payload"), replace: false };
        let changes = vec![DeliveryChange::Add { entry: 0, parcel, due: at(0) }];
        logs[0].commit(vec![story.signed()], changes).await.unwrap();
    });
    join_all(adds).await;
    let taken = join_all(logs.iter().map(async |log| {
        let mut taken = Vec::new();
        loop {
            let some = log.take_due(at(0), at(60), 7).await.unwrap();
            if some.is_empty() {
                return taken;
            }
            taken.extend(some.into_iter().map(|delivery| delivery.entry.signing().unwrap().id));
        }
    }))
    .await;
    let mut taken: Vec<_> = taken.into_iter().flatten().collect();
    taken.sort_unstable();
    let mut expected: Vec<_> = stories.iter().map(|story| story.id).collect();
    expected.sort_unstable();
    assert_eq!(taken, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_replicas_that_see_the_same_keys_at_once_one_is_the_first() {
    let place = Place::postgres().await;
    let logs = [place.log(), place.log()];
    let id = |number: u32| IdempotencyId { principal: "ci".to_owned(), key: number.to_string() };
    // One sees the keys in the opposite order: neither may wait for the other for ever.
    let recalls = [(0..100).collect::<Vec<u32>>(), (0..100).rev().collect()];
    let recalled = join_all(logs.iter().zip(&recalls).map(async |(log, numbers)| {
        let each = numbers.iter().map(async |number| {
            (*number, log.recall(&id(*number), Digest::of(b"request"), at(0)).await.unwrap())
        });
        join_all(each).await
    }))
    .await;
    let mut first = vec![0; 100];
    for (number, recalled) in recalled.into_iter().flatten() {
        match recalled {
            Recalled::New => first[number as usize] += 1,
            Recalled::Unanswered => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(first, [1; 100]);
}

#[test]
fn replicas_that_start_at_once_on_an_empty_database_all_start() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::postgres());
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..6).map(|_| scope.spawn(|| place.open().map(drop))).collect();
        for start in starts {
            start.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_take_from_the_same_budgets_at_once_get_no_more_than_there_is() {
    let place = Place::postgres().await;
    let logs = [place.log(), place.log(), place.log()];
    let budgets = [Digest::of(b"one"), Digest::of(b"two")];
    let takes = (0..300).map(async |n: usize| {
        // Each takes from both, and is in the midst of entries of its own.
        let both = taking(0, &[(budgets[n % 2], 1, 100, 0, 900), (budgets[1 - n % 2], 1, 50, 0, 900)]);
        let (appended, taken) =
            futures::future::join(logs[n % 3].append(vec![Story::new().intent()]), logs[n % 3].take(both))
                .await;
        appended.unwrap();
        taken.unwrap()
    });
    let taken = join_all(takes).await;
    // Whichever of the two has the lower limit is the first that does not reach.
    let granted = taken.iter().filter(|taken| **taken == Taken::Yes).count();
    assert_eq!(granted, 50, "{taken:?}");
    let last = taking(0, &[(budgets[0], 50, 100, 0, 900), (budgets[1], 50, 100, 0, 900)]);
    assert_eq!(logs[0].take(last).await, Ok(Taken::Yes), "nothing was counted for those who got nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_are_looked_up_at_once_each_is_found_whoever_has_made_it_and_however_long_ago() {
    let place = Place::postgres().await;
    let logs = [place.log(), place.log()];
    let story = |image: u32| Story { digest: Digest::of(&image.to_be_bytes()), ..Story::new() };
    let stories: Vec<_> = (0..30).map(story).collect();
    let reader = place.reader();
    let found = || {
        let identities: Vec<_> = stories.iter().map(Story::identity).collect();
        let found = outside(|| reader.of_identities(&identities)).unwrap();
        found.iter().map(|entries| entries.iter().map(|entry| entry.index).collect()).collect::<Vec<Vec<_>>>()
    };
    let none = vec![Vec::<u64>::new(); 30];
    assert_eq!((found(), found()), (none.clone(), none.clone()));
    let mut expected = none;
    // The search index knows the first of them, and not the others yet, or all.
    for (made, known) in [(0..10, true), (10..20, false)] {
        for place in made {
            let log = &logs[place % 2];
            log.append(vec![stories[place].intent()]).await.unwrap();
            let index = log.append(vec![stories[place].signed()]).await.unwrap();
            expected[place] = vec![index - 1, index];
        }
        if known {
            indexed(&logs[0]).await;
        }
        assert_eq!(found(), expected);
    }
    indexed(&logs[1]).await;
    assert_eq!(found(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_one_closes_is_gone_for_all_whatever_they_note_meanwhile() {
    let place = Place::postgres().await;
    let logs = [place.log(), place.log()];
    join_all((0..40).map(|number| logs[0].open_session(id(number), session(1000)))).await;
    // In opposite orders, so that they are in each other's way.
    let saw = (0..40).map(|number| logs[0].saw_session(id(number), at(1)));
    let closed = (0..40).rev().map(|number| logs[1].close_session(id(number)));
    let (saw, closed) = futures::future::join(join_all(saw), join_all(closed)).await;
    assert!(saw.iter().chain(&closed).all(Result::is_ok), "{saw:?} {closed:?}");
    for log in &logs {
        for number in 0..40 {
            assert_eq!(log.session(id(number)).await, Ok(None), "{number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_open_sessions_at_once_do_not_go_beyond_the_most_together() {
    let place = Place::postgres().await;
    fill(&place, Session::MAX - 10);
    let logs = [place.log(), place.log()];
    let opened =
        (0..40).map(|number| logs[number % 2].open_session(id(1_000_000 + number as u64), session(1000)));
    let opened = join_all(opened).await;
    assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 10, "{opened:?}");
}
