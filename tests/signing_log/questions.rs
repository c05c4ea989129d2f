//! Each condition that an auditor can set.

use signet::domain::{Digest, EntryFilter, Pattern};
use signet::ports::{EntryQuery, SigningLog as _};

use crate::fixtures::{Place, Story, all, at, contract, indexes, newest, reversed};

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
        (
            "digest",
            EntryQuery {
                filter: EntryFilter { digest: Some(story.digest), ..EntryFilter::default() },
                ..all()
            },
            vec![0, 1, 2, 3, 5],
        ),
        (
            "unknown digest",
            EntryQuery {
                filter: EntryFilter { digest: Some(Digest::of(b"?")), ..EntryFilter::default() },
                ..all()
            },
            vec![],
        ),
        (
            "repository",
            EntryQuery {
                filter: EntryFilter {
                    repository: Some(Pattern::new("registry.example.com/team/other").unwrap()),
                    ..EntryFilter::default()
                },
                ..all()
            },
            vec![4],
        ),
        (
            "principal",
            EntryQuery {
                filter: EntryFilter { principal: text("token:mallory"), ..EntryFilter::default() },
                ..all()
            },
            vec![3],
        ),
        (
            "principal without kind",
            EntryQuery {
                filter: EntryFilter { principal: text("mallory"), ..EntryFilter::default() },
                ..all()
            },
            vec![],
        ),
        (
            "key, refusals too",
            EntryQuery { filter: EntryFilter { key: text("release"), ..EntryFilter::default() }, ..all() },
            vec![0, 1, 2, 3, 5],
        ),
        (
            "key version",
            EntryQuery {
                filter: EntryFilter { key: text("release"), key_version: Some(2), ..EntryFilter::default() },
                ..all()
            },
            vec![0, 1, 2],
        ),
        (
            "version of any key",
            EntryQuery { filter: EntryFilter { key_version: Some(7), ..EntryFilter::default() }, ..all() },
            vec![4],
        ),
        (
            "kind",
            EntryQuery { filter: EntryFilter { kind: text("intent"), ..EntryFilter::default() }, ..all() },
            vec![0, 4],
        ),
        (
            "unknown kind",
            EntryQuery { filter: EntryFilter { kind: text("Intent"), ..EntryFilter::default() }, ..all() },
            vec![],
        ),
        (
            "denied",
            EntryQuery { filter: EntryFilter { denied: Some(true), ..EntryFilter::default() }, ..all() },
            vec![3],
        ),
        (
            "not denied",
            EntryQuery { filter: EntryFilter { denied: Some(false), ..EntryFilter::default() }, ..all() },
            vec![0, 1, 2, 4, 5],
        ),
        (
            "from",
            EntryQuery { filter: EntryFilter { from: Some(at(10)), ..EntryFilter::default() }, ..all() },
            vec![3, 4, 5],
        ),
        (
            "to",
            EntryQuery { filter: EntryFilter { to: Some(at(10)), ..EntryFilter::default() }, ..all() },
            vec![0, 1, 2],
        ),
        (
            "from and to",
            EntryQuery {
                filter: EntryFilter { from: Some(at(5)), to: Some(at(30)), ..EntryFilter::default() },
                ..all()
            },
            vec![3, 4],
        ),
        (
            "a period without entries",
            EntryQuery {
                filter: EntryFilter { from: Some(at(21)), to: Some(at(29)), ..EntryFilter::default() },
                ..all()
            },
            vec![],
        ),
        (
            "a period the wrong way round",
            EntryQuery {
                filter: EntryFilter { from: Some(at(30)), to: Some(at(0)), ..EntryFilter::default() },
                ..all()
            },
            vec![],
        ),
        (
            "kind of a digest and principal",
            EntryQuery {
                filter: EntryFilter {
                    digest: Some(story.digest),
                    principal: text("token:ci"),
                    kind: text("outcome"),
                    denied: Some(false),
                    ..EntryFilter::default()
                },
                ..all()
            },
            vec![1],
        ),
        (
            "contradiction",
            EntryQuery {
                filter: EntryFilter { kind: text("intent"), denied: Some(true), ..EntryFilter::default() },
                ..all()
            },
            vec![],
        ),
        ("after", EntryQuery { after: Some(3), ..all() }, vec![4, 5]),
        ("after the end", EntryQuery { after: Some(u64::MAX), ..all() }, vec![]),
        ("size", EntryQuery { size: Some(2), ..all() }, vec![0, 1]),
        ("a size beyond the log", EntryQuery { size: Some(u64::MAX), ..all() }, vec![0, 1, 2, 3, 4, 5]),
    ] {
        assert_eq!(indexes(&log, query.clone()).await, found, "{question}");
        if query.after.is_none() {
            let found = reversed(found);
            assert_eq!(indexes(&log, newest(query)).await, found, "{question}, newest first");
        }
    }
    for (before, size, found) in [
        (Some(3), None, vec![2, 1, 0]),
        (Some(0), None, vec![]),
        (Some(u64::MAX), None, vec![5, 4, 3, 2, 1, 0]),
        (Some(5), Some(2), vec![1, 0]),
        (Some(1), Some(6), vec![0]),
    ] {
        let query = newest(EntryQuery { before, size, ..all() });
        assert_eq!(indexes(&log, query).await, found, "before {before:?}, size {size:?}");
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
            let query = EntryQuery {
                filter: EntryFilter { from: Some(at(from)), to: Some(at(to)), ..EntryFilter::default() },
                ..all()
            };
            assert_eq!(indexes(&log, query.clone()).await, expected, "{from} to {to}");
            assert_eq!(
                indexes(&log, newest(query)).await,
                reversed(expected),
                "{from} to {to}, newest first"
            );
        }
    }
}

async fn sql_in_a_question_or_an_entry_is_only_text(place: Place) {
    let log = place.log();
    let evil = "x'; DROP TABLE entries; --";
    let story = Story { principal: evil.to_owned(), ..Story::new() };
    log.append(vec![story.intent()]).await.unwrap();
    let principal = format!("token:{evil}");
    assert_eq!(
        indexes(
            &log,
            EntryQuery {
                filter: EntryFilter { principal: Some(principal), ..EntryFilter::default() },
                ..all()
            }
        )
        .await,
        [0]
    );
    let text = || Some(evil.to_owned());
    for query in [
        EntryQuery { filter: EntryFilter { principal: text(), ..EntryFilter::default() }, ..all() },
        EntryQuery { filter: EntryFilter { key: text(), ..EntryFilter::default() }, ..all() },
        EntryQuery { filter: EntryFilter { kind: text(), ..EntryFilter::default() }, ..all() },
        EntryQuery {
            filter: EntryFilter {
                principal: Some("' OR ''='".to_owned()),
                key: text(),
                kind: text(),
                ..EntryFilter::default()
            },
            ..all()
        },
    ] {
        assert_eq!(indexes(&log, query.clone()).await, [0; 0], "{query:?}");
    }
    assert_eq!(indexes(&log, all()).await, [0]);
}
