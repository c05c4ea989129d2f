//! Sessions: kept over restarts, and the same for all replicas.

use futures::future::join_all;
use signet::ports::{
    LogError, Session, SessionChange, SessionId, SessionOpening, Sessions as _, SigningLog as _, StoreReader,
    Writes, Written,
};

use crate::fixtures::{Place, Story, all, at, contract, indexes, outside, writes};

contract! {
    a_session_is_found_as_it_was_opened_and_no_other_is,
    when_it_was_used_never_goes_back,
    who_is_closed_is_not_found_any_more_and_stays_closed,
    what_is_noted_of_a_session_that_is_not_there_makes_none,
    of_changes_in_one_commit_each_finds_what_came_before,
    sessions_are_there_after_a_restart_and_closed_ones_are_not,
    whoever_else_reads_the_database_sees_it_opened_and_closed,
    those_that_are_over_or_idle_are_forgotten_and_no_others,
    content_has_its_largest_size_and_one_byte_more_harms_nobody,
    there_are_no_more_than_the_most,
    sessions_and_entries_that_come_at_the_same_time_are_all_kept,
}

async fn a_session_is_found_as_it_was_opened_and_no_other_is(place: Place) {
    let log = place.log();
    let contents = [&b"{\"principal\":\"ada\"}"[..], b"", b"\0\xff'; DROP TABLE sessions; --"];
    for (number, content) in (0..).zip(contents) {
        let session = Session { content: content.to_vec(), ..session(100) };
        assert_eq!(log.open_session(id(number), session.clone()).await, Ok(()));
        assert_eq!(log.session(id(number)).await, Ok(Some(session)));
    }
    assert_eq!(log.session(id(3)).await, Ok(None));
    let mut nearly = id(0);
    nearly.0[31] ^= 1;
    assert_eq!(log.session(nearly).await, Ok(None));

    let error = log.open_session(id(0), session(900)).await.unwrap_err();
    assert!(error.0.contains("there is such a session already"), "{error}");
    assert_eq!(log.session(id(0)).await.unwrap().unwrap().until, at(100), "it is nobody else's now");
    assert_eq!(indexes(&log, all()).await, [0u64; 0], "the log's entries know nothing of it");
}

async fn when_it_was_used_never_goes_back(place: Place) {
    let log = place.log();
    log.open_session(id(1), session(100)).await.unwrap();
    log.open_session(id(2), session(100)).await.unwrap();
    for (seen, expected) in [(0, 0), (20, 20), (10, 20), (-50, 20), (21, 21)] {
        log.saw_session(id(1), at(seen)).await.unwrap();
        let expected = Session { seen: at(expected), ..session(100) };
        assert_eq!(log.session(id(1)).await, Ok(Some(expected)), "{seen}");
    }
    assert_eq!(log.session(id(2)).await, Ok(Some(session(100))), "another was not used");
}

async fn who_is_closed_is_not_found_any_more_and_stays_closed(place: Place) {
    let log = place.log();
    for number in [1, 2] {
        log.open_session(id(number), session(100)).await.unwrap();
    }
    assert_eq!(log.close_session(id(1)).await, Ok(()));
    assert_eq!(log.session(id(1)).await, Ok(None));
    assert_eq!(log.close_session(id(1)).await, Ok(()), "again");
    assert_eq!(log.saw_session(id(1), at(5)).await, Ok(()), "by a request that was under way");
    assert_eq!(log.session(id(1)).await, Ok(None));
    assert_eq!(log.session(id(2)).await, Ok(Some(session(100))));
}

async fn what_is_noted_of_a_session_that_is_not_there_makes_none(place: Place) {
    let log = place.log();
    assert_eq!(log.saw_session(id(1), at(0)).await, Ok(()));
    assert_eq!(log.close_session(id(1)).await, Ok(()));
    assert_eq!(log.session(id(1)).await, Ok(None));
    assert_eq!(log.forget_sessions(at(0), at(0)).await, Ok(0));
}

async fn of_changes_in_one_commit_each_finds_what_came_before(place: Place) {
    let open = |number, until| SessionChange::Open { id: id(number), session: session(until) };
    let saw = |number, seen| SessionChange::Saw { id: id(number), seen: at(seen) };
    let close = |number| SessionChange::Close { id: id(number) };
    let sessions = vec![
        saw(1, 50),
        open(1, 100),
        open(1, 200),
        saw(1, 7),
        close(2),
        open(2, 300),
        close(2),
        open(2, 400),
        open(3, 500),
        close(3),
    ];
    let written = commit(&place, &Writes { sessions, ..Writes::default() });
    let (kept, taken) = (SessionOpening::Kept, SessionOpening::Taken);
    assert_eq!(written.opened, [kept, taken, kept, kept, kept]);
    let reader = place.reader();
    assert_eq!(find(&*reader, 1), Some(Session { seen: at(7), ..session(100) }));
    assert_eq!(find(&*reader, 2), Some(session(400)));
    assert_eq!(find(&*reader, 3), None);
}

async fn sessions_are_there_after_a_restart_and_closed_ones_are_not(place: Place) {
    let log = place.log();
    for number in [1, 2] {
        log.open_session(id(number), session(100)).await.unwrap();
    }
    log.saw_session(id(1), at(9)).await.unwrap();
    log.close_session(id(2)).await.unwrap();
    drop(log);
    let log = place.log();
    assert_eq!(log.session(id(1)).await, Ok(Some(Session { seen: at(9), ..session(100) })));
    assert_eq!(log.session(id(2)).await, Ok(None));
}

async fn whoever_else_reads_the_database_sees_it_opened_and_closed(place: Place) {
    let log = place.log();
    let other = place.reader();
    assert_eq!(find(&*other, 1), None);
    log.open_session(id(1), session(100)).await.unwrap();
    assert_eq!(find(&*other, 1), Some(session(100)));
    log.close_session(id(1)).await.unwrap();
    assert_eq!(find(&*other, 1), None);
}

async fn those_that_are_over_or_idle_are_forgotten_and_no_others(place: Place) {
    let open = |number, until, seen| SessionChange::Open {
        id: id(number),
        session: Session { seen: at(seen), ..session(until) },
    };
    // More than are forgotten at once, of each kind.
    let over = (0..1100).map(|number| open(number, 100, 50));
    let idle = (1100..2300).map(|number| open(number, 900, 10));
    let stay = (2300..2310).map(|number| open(number, 101, 20));
    let sessions = over.chain(idle).chain(stay).collect();
    commit(&place, &Writes { sessions, ..Writes::default() });

    let log = place.log();
    assert_eq!(log.forget_sessions(at(99), at(10)).await, Ok(0));
    assert_eq!(log.forget_sessions(at(100), at(10)).await, Ok(1100), "at its end a session is over");
    assert_eq!(log.forget_sessions(at(100), at(20)).await, Ok(1200));
    assert_eq!(log.forget_sessions(at(100), at(20)).await, Ok(0));
    assert_eq!(log.session(id(1099)).await, Ok(None));
    assert_eq!(log.session(id(2299)).await, Ok(None));
    for number in 2300..2310 {
        assert!(log.session(id(number)).await.unwrap().is_some(), "{number}");
    }
}

async fn content_has_its_largest_size_and_one_byte_more_harms_nobody(place: Place) {
    let log = place.log();
    let of_size = |bytes| Session { content: vec![b'x'; bytes], ..session(100) };
    let largest = of_size(Session::MAX_BYTES);
    let (refused, kept, entry) = futures::future::join3(
        log.open_session(id(1), of_size(Session::MAX_BYTES + 1)),
        log.open_session(id(2), largest.clone()),
        log.append(vec![Story::new().intent()]),
    )
    .await;
    assert!(refused.unwrap_err().0.contains("at most 65536 bytes, this one has 65537"));
    assert_eq!((kept, entry), (Ok(()), Ok(0)));
    assert_eq!(log.session(id(1)).await, Ok(None));
    assert_eq!(log.session(id(2)).await, Ok(Some(largest)));
}

async fn there_are_no_more_than_the_most(place: Place) {
    let open = |number| SessionChange::Open { id: id(number), session: session(100) };
    fill(&place, Session::MAX - 2);
    // Two fit, one takes the place of one that is closed, and what comes along is kept all the same.
    let sessions = vec![
        open(Session::MAX),
        open(Session::MAX + 1),
        open(Session::MAX + 2),
        SessionChange::Close { id: id(0) },
        open(Session::MAX + 3),
        open(Session::MAX + 4),
    ];
    let written = commit(&place, &Writes { sessions, ..writes(Story::new().intent()) });
    let (kept, full) = (SessionOpening::Kept, SessionOpening::Full);
    assert_eq!((written.opened, written.head.size), (vec![kept, kept, full, kept, full], 1));

    let log = place.log();
    let refused = log.open_session(id(Session::MAX + 5), session(100)).await;
    assert_eq!(refused, Err(LogError("there are 100000 sessions already".to_owned())));
    assert_eq!(log.session(id(Session::MAX + 5)).await, Ok(None));
    assert_eq!(log.session(id(Session::MAX + 2)).await, Ok(None));
    assert_eq!(log.session(id(Session::MAX + 3)).await, Ok(Some(session(100))));
    assert_eq!(log.forget_sessions(at(100), at(0)).await, Ok(Session::MAX));
    assert_eq!(log.open_session(id(Session::MAX + 5), session(200)).await, Ok(()));
}

async fn sessions_and_entries_that_come_at_the_same_time_are_all_kept(place: Place) {
    let log = place.log();
    // A quarter of them is opened twice: each caller gets the answer to its own question.
    let opened = join_all((0..100).map(|number| log.open_session(id(number % 75), session(100))));
    let entries = join_all((0..100).map(|_| log.append(vec![Story::new().intent()])));
    let (opened, entries) = futures::future::join(opened, entries).await;
    assert!(entries.iter().all(Result::is_ok));
    let kept: Vec<_> = opened.iter().map(Result::is_ok).collect();
    assert_eq!(kept, (0..100).map(|number| number < 75).collect::<Vec<_>>());
    assert_eq!(indexes(&log, all()).await.len(), 100);
    join_all((0..75).map(|number| log.close_session(id(number)))).await;
    assert_eq!(log.forget_sessions(at(100), at(100)).await, Ok(0), "none is left");
}

/// A name that only `number` has.
pub fn id(number: u64) -> SessionId {
    let mut id = [0xa5; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    SessionId(id)
}

/// A session that was opened at 0 and ends at `until`.
pub fn session(until: i64) -> Session {
    Session { content: b"{}".to_vec(), until: at(until), seen: at(0) }
}

/// Opens the sessions from 0 to `count`.
pub fn fill(place: &Place, count: u64) {
    let open = |number| SessionChange::Open { id: id(number), session: session(100) };
    for first in (0..count).step_by(10_000) {
        let sessions = (first..(first + 10_000).min(count)).map(open).collect();
        commit(place, &Writes { sessions, ..Writes::default() });
    }
}

fn commit(place: &Place, writes: &Writes) -> Written {
    outside(|| place.store().commit(writes)).unwrap()
}

fn find(reader: &dyn StoreReader, number: u64) -> Option<Session> {
    outside(|| reader.session(id(number))).unwrap()
}
