//! Connections that die and servers that stop, in the midst of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use signet::domain::{Content, SignatureId};
use signet::log::GroupCommitLog;
use signet::ports::{DeliveryChange, LogSearch as _, Outbox as _, Parcel, SigningLog as _};

use super::connections::{Connections, Cut};
use crate::fixtures::{Place, Story, all, at, entries_of, indexes};
use crate::support::postgres;

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_has_happened_once() {
    let mut place = Place::postgres().await;
    let connections = Connections::before(place.url.as_mut().unwrap()).await;
    let log = place.log();
    for (round, cut) in (1..).zip([Cut::AfterCommit, Cut::BeforeCommit, Cut::AfterCommit]) {
        let story = Story::new();
        let parcel = Parcel { document: Content::from("payload"), replace: false };
        let changes = vec![DeliveryChange::Add { entry: 1, parcel, due: at(0) }];
        connections.cut(cut);
        let first = log.commit(vec![story.intent(), story.signed()], changes).await;
        assert_eq!(first, Ok(2 * round - 2), "{cut:?}");
        assert_eq!(connections.cuts(), round, "{cut:?}");
        assert!(log.delivery(story.id).await.unwrap().is_some());
    }
    assert_eq!(indexes(&log, all()).await, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_go_on_while_connections_are_ended_under_them() {
    let place = Place::postgres().await;
    let log = place.log();
    let admin = postgres::connect(place.url.as_ref().unwrap()).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let ended = async {
        let mut ended = 0;
        while ended < 25 {
            let before = done.load(Ordering::SeqCst);
            ended += admin.query(end, &[]).await.unwrap().len();
            // Each time it has to go on before it is cut again.
            while done.load(Ordering::SeqCst) < before + 20 {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
        over.store(true, Ordering::SeqCst);
    };
    let appends = join_all((0..16).map(async |_| {
        let mut ids = Vec::new();
        while !over.load(Ordering::SeqCst) {
            let story = Story::new();
            ids.push((log.append(vec![story.intent()]).await.unwrap(), story.id));
            assert!(log.record(story.id).await.unwrap().is_some());
            done.fetch_add(1, Ordering::SeqCst);
        }
        ids
    }));
    let (appended, ()) = tokio::join!(appends, ended);
    let appended: HashMap<_, _> = appended.into_iter().flatten().collect();
    assert_eq!(appended, logged(&log).await, "each once, and where it was said to be");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_has_what_was_answered_and_nothing_twice() {
    let mut server = postgres::Server::start().await;
    let place = Place { url: Some(server.url()), ..Place::sqlite() };
    let log = place.log();
    let appends = async {
        join_all((0..16).map(async |_| {
            let (mut there, mut failed) = (Vec::new(), Vec::new());
            while there.len() < 60 {
                let story = Story::new();
                match log.append(vec![story.intent()]).await {
                    Ok(index) => there.push((index, story.id)),
                    Err(_) => failed.push(story.id),
                }
            }
            (there, failed)
        }))
        .await
    };
    let restarts = async {
        for _ in 0..3 {
            wait_for(&log, 100).await;
            server.kill();
            server.go().await;
        }
    };
    let (answers, ()) = tokio::join!(appends, restarts);
    let mut logged = logged(&log).await;
    let mut failed = 0;
    for (there, not) in answers {
        for (index, id) in there {
            assert_eq!(logged.remove(&index), Some(id));
        }
        failed += not.len();
        // What failed may be there, once: nobody could be asked.
        logged.retain(|_, id| !not.contains(id));
    }
    assert!(logged.is_empty(), "{failed} appends failed, {} are there that nobody has sent", logged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_an_error_soon_and_is_used_again_when_it_is_back() {
    let mut server = postgres::Server::start().await;
    let place = Place { url: Some(server.url()), ..Place::sqlite() };
    let log = place.log();
    assert_eq!(log.append(vec![Story::new().intent()]).await, Ok(0));
    assert_eq!(log.ready().await, Ok(()));
    server.kill();
    let start = Instant::now();
    assert!(log.append(vec![Story::new().intent()]).await.is_err());
    assert!(log.entry(0).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let start = Instant::now();
    assert!(log.append(vec![Story::new().intent()]).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(1), "who comes later does not wait: {:?}", start.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await; // An answer about readiness counts for a second.
    assert!(log.ready().await.is_err());

    server.go().await;
    assert_eq!(log.append(vec![Story::new().intent()]).await, Ok(1));
    assert!(log.entry(1).await.unwrap().is_some());
}

/// A holder of the head that does nothing keeps others up for a bounded time.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_transaction_that_holds_the_log_is_an_error_after_the_time_of_a_statement() {
    let place = Place::postgres().await;
    let mut config = place.config();
    config.statement_timeout = Duration::from_millis(500);
    let store =
        signet::store::open(&config).map(|opened| opened.store).unwrap_or_else(|error| panic!("{error}"));
    let log = GroupCommitLog::start(store, signet::log::Guard::open(), std::sync::Arc::default()).unwrap();
    let mut raw = postgres::connect(place.url.as_ref().unwrap()).await;
    let holding = raw.transaction().await.unwrap();
    holding.execute("SELECT FROM head FOR UPDATE", &[]).await.unwrap();
    let start = Instant::now();
    let error = log.append(vec![Story::new().intent()]).await.unwrap_err();
    assert!(error.to_string().contains("statement timeout"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    holding.rollback().await.unwrap();
    assert_eq!(log.append(vec![Story::new().intent()]).await, Ok(0));
}

/// Waits until that many more entries are in the log.
async fn wait_for(log: &GroupCommitLog, more: u64) {
    let size = async || log.progress().await.map(|progress| progress.log_size);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut begin = None;
    while Instant::now() < deadline {
        if let Ok(size) = size().await
            && size >= *begin.get_or_insert(size) + more
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the log does not grow");
}

/// Every entry's signature, by index. Fails where an index is missing.
async fn logged(log: &GroupCommitLog) -> HashMap<u64, SignatureId> {
    let mut found = HashMap::new();
    for entry in entries_of(log, all()).await {
        let parsed: signet::domain::Entry = serde_json::from_slice(&entry.bytes).unwrap();
        assert_eq!(entry.index, found.len() as u64, "there is no gap");
        found.insert(entry.index, parsed.signing().unwrap().id);
    }
    found
}
