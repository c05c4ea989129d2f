//! The file of the search index beside SQLite's log: lost, damaged, behind, ahead, or of another log.

use std::path::PathBuf;

use signet::domain::{Pattern, Reach, State};
use signet::ports::{CountQuery, Grouping, LogSearch as _, SigningLog as _};

use crate::fixtures::{Place, Story, all, entries_within, indexed, indexes};

/// A log of `signatures` signatures, which has been indexed and closed.
async fn filled(place: &Place, signatures: usize) -> Vec<Story> {
    let log = place.log();
    let stories: Vec<_> = (0..signatures).map(|_| Story::new()).collect();
    for group in stories.chunks(100) {
        let entries = group.iter().flat_map(|story| [story.intent(), story.signed(), story.attached()]);
        log.append(entries.collect()).await.unwrap();
    }
    indexed(&log).await;
    log.close().await.unwrap();
    stories
}

/// Whether everything is found again, and the index goes on.
async fn assert_whole(place: &Place, stories: &[Story], what: &str) {
    let log = place.log();
    let size = stories.len() as u64 * 3;
    assert_eq!(indexes(&log, all()).await, (0..size.min(1000)).collect::<Vec<_>>(), "{what}");
    for story in [&stories[0], &stories[stories.len() / 2], &stories[stories.len() - 1]] {
        let record = log.record(story.id).await.unwrap().unwrap();
        assert!(matches!(record.state, State::Attached { .. }), "{what}: {record:?}");
    }
    assert_eq!(log.append(vec![Story::new().intent()]).await, Ok(size), "{what}");
    indexed(&log).await;
}

fn index_files(place: &Place) -> Vec<PathBuf> {
    let files = std::fs::read_dir(place.directory.path()).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.to_str().unwrap().contains(".search-")).collect()
}

fn index(place: &Place) -> PathBuf {
    place.directory.path().join("log.sqlite.search-a")
}

#[tokio::test]
async fn an_index_that_is_lost_or_can_not_be_read_is_made_again() {
    let lost = |place: &Place| index_files(place).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let no_database =
        |place: &Place| std::fs::write(index(place), "these are notes, not a database").unwrap();
    let empty = |place: &Place| std::fs::write(index(place), "").unwrap();
    let without_meta = |place: &Place| sql(place, "DELETE FROM small WHERE k = x'6d'");
    let without_tables = |place: &Place| sql(place, "DROP TABLE large; DROP TABLE small");
    let another_form = |place: &Place| sql(place, "DROP TABLE large; CREATE TABLE large (other)");
    let cut_sheets = |place: &Place| sql(place, "UPDATE large SET v = substr(v, 1, 40)");
    let no_sheets = |place: &Place| sql(place, "DELETE FROM large");
    let flipped = |place: &Place| sql(place, "UPDATE large SET v = CAST(x'01' || substr(v, 2) AS BLOB)");
    let damages: [Damage<'_>; 9] = [
        ("lost", &lost),
        ("no database", &no_database),
        ("empty", &empty),
        ("without meta", &without_meta),
        ("without tables", &without_tables),
        ("another form", &another_form),
        ("sheets that are cut", &cut_sheets),
        ("no sheets", &no_sheets),
        ("sheets with a flipped bit", &flipped),
    ];
    for (what, damage) in damages {
        let place = Place::sqlite();
        let stories = filled(&place, 300).await;
        damage(&place);
        let log = place.log();
        let story = &stories[0];
        // Whoever meets the damage is told that something is wrong, and never something wrong.
        for _ in 0..1000 {
            let (record, page) =
                futures::future::join(log.record(story.id), log.entries(all(), Reach::whole())).await;
            if let Ok(record) = &record {
                assert!(matches!(record.as_ref().unwrap().state, State::Attached { .. }), "{what}");
            }
            if record.is_ok() && page.is_ok_and(|page| page.entries.len() == 900) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        drop(log);
        assert_whole(&place, &stories, what).await;
    }
}

#[tokio::test]
async fn an_index_that_is_behind_goes_on_from_where_it_was() {
    let place = Place::sqlite();
    let mut stories = filled(&place, 20).await;
    let old = tempfile::tempdir().unwrap();
    std::fs::copy(index(&place), old.path().join("index")).unwrap();
    stories.extend(filled(&place, 200).await);
    index_files(&place).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    std::fs::copy(old.path().join("index"), index(&place)).unwrap();
    assert_whole(&place, &stories, "behind").await;
}

#[tokio::test]
async fn an_index_of_a_longer_log_or_of_another_one_is_made_again() {
    let other = Place::sqlite();
    filled(&other, 100).await;
    for signatures in [30, 100] {
        let place = Place::sqlite();
        let stories = filled(&place, signatures).await;
        index_files(&place).iter().for_each(|path| std::fs::remove_file(path).unwrap());
        std::fs::copy(index(&other), index(&place)).unwrap();
        assert_whole(&place, &stories, "of another log").await;
    }
}

/// The files, copied while everything is at work, are what a crash leaves behind: the index is at any distance.
#[tokio::test]
async fn after_a_crash_the_index_goes_on_and_nothing_is_missing() {
    let place = Place::sqlite();
    let log = place.log();
    let mut stories = Vec::new();
    for round in 0..10 {
        for _ in 0..5 {
            let story = Story::new();
            log.append(vec![story.intent(), story.signed(), story.attached()]).await.unwrap();
            stories.push(story);
        }
        let after = Place::sqlite();
        // The index first: what it knows, the log has.
        let names = ["log.sqlite.search-a", "log.sqlite.search-a-wal", "log.sqlite", "log.sqlite-wal"];
        for name in names {
            let _ = std::fs::copy(place.directory.path().join(name), after.directory.path().join(name));
        }
        assert_whole(&after, &stories, &format!("round {round}")).await;
    }
}

#[tokio::test]
async fn making_it_again_leaves_one_index_and_no_old_files() {
    let place = Place::sqlite();
    let stories = filled(&place, 100).await;
    let log = place.log();
    indexed(&log).await;
    log.rebuild();
    let other = place.directory.path().join("log.sqlite.search-b");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while index(&place).exists() || !other.exists() {
        assert!(std::time::Instant::now() < deadline, "{:?}", index_files(&place));
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    drop(log);
    assert_whole(&place, &stories, "made again").await;
}

/// As the log of a later version is to this one.
#[tokio::test]
async fn an_entry_that_can_not_be_read_is_found_and_counted_for_those_alone_who_see_the_whole_log() {
    let place = Place::sqlite();
    // A start looks at the end of the log alone.
    let stories = filled(&place, 200).await;
    index_files(&place).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let unreadable = r#"{"v":1,"kind":"of-a-later-version","repository":"registry.example.com/team/secret"}"#;
    let raw = place.raw();
    raw.execute_batch("DROP TRIGGER entries_stay").unwrap();
    raw.execute("UPDATE entries SET bytes = CAST(?1 AS BLOB) WHERE idx = 1", [unreadable]).unwrap();
    let log = place.log();
    indexed(&log).await;
    let secret = vec![Pattern::of_repositories("registry.example.com/team/secret").unwrap()];
    let everywhere = vec![Pattern::of_repositories("**").unwrap()];
    for (reach, is_seen) in
        [(Reach::whole(), true), (Reach::all_but(secret), false), (Reach::of(everywhere, Vec::new()), false)]
    {
        let expected: Vec<u64> = (0..600).filter(|index| is_seen || *index != 1).collect();
        let found = entries_within(&log, all(), reach.clone()).await;
        assert_eq!(found.iter().map(|entry| entry.index).collect::<Vec<_>>(), expected, "{reach:?}");
        let query = CountQuery {
            by: Grouping::Month,
            of: None,
            kind: None,
            denied: None,
            from: None,
            to: None,
            top: usize::MAX,
        };
        let counts = log.counts(query, reach.clone()).await.unwrap();
        assert_eq!(counts.entries, expected.len() as u64, "{reach:?}");
    }
    assert!(log.record(stories[1].id).await.unwrap().is_some());
}

fn sql(place: &Place, sql: &str) {
    rusqlite::Connection::open(index(place)).unwrap().execute_batch(sql).unwrap();
}

/// What was done, and how.
type Damage<'a> = (&'a str, &'a dyn Fn(&Place));
