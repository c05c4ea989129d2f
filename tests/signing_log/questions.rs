//! Each condition that an auditor can set.

use signet::domain::Digest;
use signet::ports::{EntryQuery, SigningLog as _};

use crate::fixtures::{Place, Story, all, at, contract, indexes};

contract! {
    each_condition_finds_what_it_names_and_nothing_else,
    a_clock_that_was_set_back_hides_no_entry_of_a_period,
    sql_in_a_question_or_an_entry_is_only_text,
}

/// Index 0 to 2: `ci` signs; 3: refused; 4: an old version of another key signs elsewhere for `night`; 5: adopted.
async fn log(place: &Place) -> (signet::log::GroupCommitLog, Story) {
    let log = place.log();
    let day = Story { version: 2, ..Story::new() };
    let refused = Story { second: 10, principal: "mallory".to_owned(), ..day.clone() };
    let night = Story {
        second: 20,
        principal: "night".to_owned(),
        repository: "registry.example.com/team/other".to_owned(),
        digest: Digest::of(b"other"),
        key: "nightly",
        ..Story::new()
    };
    let adopted = Story { second: 30, version: 1, ..day.clone() };
    let entries = [
        day.intent(),
        day.signed(),
        day.attached(),
        refused.refusal(),
        Story { version: 7, ..night }.intent(),
        adopted.adopted(),
    ];
    log.append(entries.to_vec()).await.unwrap();
    (log, day)
}

async fn each_condition_finds_what_it_names_and_nothing_else(place: Place) {
    let (log, story) = log(&place).await;
    let text = |text: &str| Some(text.to_owned());
    for (question, query, found) in [
        ("everything", all(), vec![0, 1, 2, 3, 4, 5]),
        ("digest", EntryQuery { digest: Some(story.digest), ..all() }, vec![0, 1, 2, 3, 5]),
        ("unknown digest", EntryQuery { digest: Some(Digest::of(b"?")), ..all() }, vec![]),
        (
            "repository",
            EntryQuery { repository: Some("registry.example.com/team/other".parse().unwrap()), ..all() },
            vec![4],
        ),
        ("principal", EntryQuery { principal: text("token:mallory"), ..all() }, vec![3]),
        ("principal without kind", EntryQuery { principal: text("mallory"), ..all() }, vec![]),
        ("key, refusals too", EntryQuery { key: text("release"), ..all() }, vec![0, 1, 2, 3, 5]),
        ("key version", EntryQuery { key: text("release"), key_version: Some(2), ..all() }, vec![0, 1, 2]),
        ("version of any key", EntryQuery { key_version: Some(7), ..all() }, vec![4]),
        ("kind", EntryQuery { kind: text("intent"), ..all() }, vec![0, 4]),
        ("unknown kind", EntryQuery { kind: text("Intent"), ..all() }, vec![]),
        ("denied", EntryQuery { denied: Some(true), ..all() }, vec![3]),
        ("not denied", EntryQuery { denied: Some(false), ..all() }, vec![0, 1, 2, 4, 5]),
        ("from", EntryQuery { from: Some(at(10)), ..all() }, vec![3, 4, 5]),
        ("to", EntryQuery { to: Some(at(10)), ..all() }, vec![0, 1, 2]),
        ("from and to", EntryQuery { from: Some(at(5)), to: Some(at(30)), ..all() }, vec![3, 4]),
        ("a period without entries", EntryQuery { from: Some(at(21)), to: Some(at(29)), ..all() }, vec![]),
        ("a period the wrong way round", EntryQuery { from: Some(at(30)), to: Some(at(0)), ..all() }, vec![]),
        (
            "kind of a digest and principal",
            EntryQuery {
                digest: Some(story.digest),
                principal: text("token:ci"),
                kind: text("outcome"),
                denied: Some(false),
                ..all()
            },
            vec![1],
        ),
        ("contradiction", EntryQuery { kind: text("intent"), denied: Some(true), ..all() }, vec![]),
        ("after", EntryQuery { after: Some(3), ..all() }, vec![4, 5]),
        ("after the end", EntryQuery { after: Some(u64::MAX), ..all() }, vec![]),
        ("size", EntryQuery { size: Some(2), ..all() }, vec![0, 1]),
        ("a size beyond the log", EntryQuery { size: Some(u64::MAX), ..all() }, vec![0, 1, 2, 3, 4, 5]),
    ] {
        assert_eq!(indexes(&log, query).await, found, "{question}");
    }
}

async fn a_clock_that_was_set_back_hides_no_entry_of_a_period(place: Place) {
    let log = place.log();
    let seconds = [0, 100, 200, 50, 60, 300, 250, 70, 400];
    let entries = seconds.iter().map(|&second| Story { second, ..Story::new() }.refusal());
    log.append(entries.collect()).await.unwrap();
    for from in (0..=400).step_by(10) {
        for to in (from..=410).step_by(10) {
            let expected: Vec<u64> =
                (0..).zip(seconds).filter(|(_, s)| (from..to).contains(s)).map(|(i, _)| i).collect();
            let query = EntryQuery { from: Some(at(from)), to: Some(at(to)), ..all() };
            assert_eq!(indexes(&log, query).await, expected, "{from} to {to}");
        }
    }
}

async fn sql_in_a_question_or_an_entry_is_only_text(place: Place) {
    let log = place.log();
    let evil = "x'; DROP TABLE entries; --";
    let story = Story { principal: evil.to_owned(), ..Story::new() };
    log.append(vec![story.intent()]).await.unwrap();
    let principal = format!("token:{evil}");
    assert_eq!(indexes(&log, EntryQuery { principal: Some(principal), ..all() }).await, [0]);
    let text = || Some(evil.to_owned());
    for query in [
        EntryQuery { principal: text(), ..all() },
        EntryQuery { key: text(), ..all() },
        EntryQuery { kind: text(), ..all() },
        EntryQuery { principal: Some("' OR ''='".to_owned()), key: text(), kind: text(), ..all() },
    ] {
        assert_eq!(indexes(&log, query.clone()).await, [0; 0], "{query:?}");
    }
    assert_eq!(indexes(&log, all()).await, [0]);
}
