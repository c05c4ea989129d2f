//! What is beside the entries: marks, versions of keys that were seen, and entries that are archived.

use std::sync::Arc;

use signet::domain::{EntryFilter, Event, SystemClock};
use signet::log::LoggedKeys;
use signet::ports::{
    EntryQuery, Extent, KeyArchive as _, LogRange as _, LogSearch as _, Mark, Marks as _, NewEntry,
    SigningLog as _, Store, Writes,
};

use crate::fixtures::{Place, Story, all, contract, indexed, indexes, newest, outside, page, writes};
use crate::key_archive::archived;

contract! {
    what_is_archived_leaves_the_store_for_good_and_nothing_else_does,
    the_log_goes_on_without_what_is_archived_and_the_search_with_it,
    an_index_that_is_made_anew_knows_what_is_left,
    marks_are_kept_with_the_entries_that_came_with_them,
    a_version_of_a_key_is_an_entry_once,
}

fn entries(count: usize) -> Writes {
    let entries = (0..count).map(|_| NewEntry::try_from(Story::new().intent()).unwrap()).collect();
    Writes { entries, ..Writes::default() }
}

fn below(end: u64) -> Writes {
    Writes { archived_below: Some(end), ..Writes::default() }
}

fn drop_all(store: &mut dyn Store) -> u64 {
    std::iter::from_fn(|| Some(store.drop_archived().unwrap()).filter(|dropped| *dropped > 0)).sum()
}

async fn what_is_archived_leaves_the_store_for_good_and_nothing_else_does(place: Place) {
    outside(|| {
        let mut store = place.store();
        assert_eq!(store.reader().extent(), Ok(Extent::default()));
        store.commit(&entries(3000)).unwrap();
        assert_eq!(drop_all(&mut *store), 0, "nothing is archived");
        for beyond in [3000, 3001, u64::MAX] {
            assert!(
                store.commit(&below(beyond)).is_err(),
                "the last entry stays, and with it the size: {beyond}"
            );
        }
        let both = Writes { archived_below: Some(2816), ..writes(Story::new().intent()) };
        assert_eq!(store.commit(&both).unwrap().first, 3000);
        assert_eq!(
            store.reader().extent(),
            Ok(Extent { first: 0, size: 3001 }),
            "they may go, and are there"
        );
        assert_eq!(drop_all(&mut *store), 2816);
        let extent = Extent { first: 2816, size: 3001 };
        assert_eq!(store.reader().extent(), Ok(extent));
        assert_eq!(store.reader().entry(2815), Ok(None));
        assert!(store.reader().entry(2816).unwrap().is_some());

        store.commit(&below(256)).unwrap();
        assert_eq!(drop_all(&mut *store), 0, "the boundary does not go back");
        assert_eq!(store.commit(&entries(1)).unwrap().first, 3001);
        drop(store);
        let mut store = place.store();
        assert_eq!(store.reader().extent(), Ok(Extent { size: 3002, ..extent }), "after a restart");
        assert_eq!(store.commit(&entries(1)).unwrap().first, 3002);
    });
}

/// A log whose first 256 entries are archived: they have a signature, and another one is behind them.
async fn with_archive(place: &Place) -> (Story, Story) {
    let (old, young) = (Story::new(), Story { version: 2, ..Story::new() });
    let log = place.log();
    log.append(vec![old.intent(), old.signed(), old.attached()]).await.unwrap();
    log.append((0..297).map(|_| Story::new().refusal()).collect()).await.unwrap();
    log.append(vec![young.intent(), young.signed(), young.attached()]).await.unwrap();
    indexed(&log).await;
    log.close().await.unwrap();
    drop(log);
    outside(|| {
        let mut store = place.store();
        store.commit(&below(256)).unwrap();
        assert_eq!(drop_all(&mut *store), 256);
    });
    (old, young)
}

async fn the_log_goes_on_without_what_is_archived_and_the_search_with_it(place: Place) {
    let (old, young) = with_archive(&place).await;
    let log = place.log();
    assert_eq!(log.extent().await, Ok(Extent { first: 256, size: 303 }));
    assert!(log.range(255, 10).await.unwrap().is_empty(), "what is gone is not left out without a word");
    assert_eq!(log.range(256, 10).await.unwrap().len(), 10);
    assert_eq!(indexes(&log, all()).await, (256..303).collect::<Vec<_>>());
    for limit in [10, 46, 47, 48] {
        let query = newest(EntryQuery { limit, ..all() });
        assert_eq!(indexes(&log, query.clone()).await, (256..303).rev().collect::<Vec<_>>());
        let first = page(&log, query).await;
        assert_eq!(first.next, (limit < 47).then_some(303 - limit as u64), "the archive ends it");
    }
    let of_archived = newest(EntryQuery { before: Some(256), ..all() });
    assert_eq!(
        (page(&log, of_archived.clone()).await.next, indexes(&log, of_archived).await),
        (None, vec![])
    );
    let of_old =
        EntryFilter { key_version: Some(1), kind: Some("outcome".to_owned()), ..EntryFilter::default() };
    assert!(indexes(&log, EntryQuery { filter: of_old, ..all() }).await.is_empty());
    assert_eq!(log.find(old.identity()).await, Ok(None), "it is found in its registry, or made anew");
    assert_eq!(log.record(old.id).await, Ok(None));
    assert_eq!(log.find(young.identity()).await.unwrap().unwrap().signing.id, young.id);
    assert_eq!(log.append(vec![old.intent()]).await, Ok(303));
    indexed(&log).await;
    assert_eq!(log.progress().await.unwrap().indexed, 304, "the index took what is gone for no damage");
}

async fn an_index_that_is_made_anew_knows_what_is_left(place: Place) {
    let (_, young) = with_archive(&place).await;
    let log = place.log();
    log.append(vec![young.attached()]).await.unwrap();
    log.rebuild();
    // Before, while and after the new one takes the old one's place.
    for _ in 0..100 {
        assert_eq!(indexes(&log, all()).await, (256..304).collect::<Vec<_>>());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let of_young = EntryFilter { key_version: Some(2), ..EntryFilter::default() };
    assert_eq!(indexes(&log, EntryQuery { filter: of_young, ..all() }).await, [300, 301, 302, 303]);
    assert_eq!(log.find(young.identity()).await.unwrap().unwrap().signing.id, young.id);
}

async fn marks_are_kept_with_the_entries_that_came_with_them(place: Place) {
    let log = place.log();
    let mark = |value: &str| Mark { name: "push siem".to_owned(), value: value.to_owned() };
    assert_eq!(log.mark("push siem").await, Ok(None));
    log.set_mark(mark("1"), Vec::new()).await.unwrap();
    log.set_mark(mark("2"), vec![Story::new().intent()]).await.unwrap();
    assert_eq!(log.mark("push siem").await, Ok(Some("2".to_owned())));
    assert_eq!(log.mark("push").await, Ok(None));
    log.close().await.unwrap();
    drop(log);
    let log = place.log();
    assert_eq!(log.mark("push siem").await, Ok(Some("2".to_owned())));
    assert_eq!(log.extent().await.unwrap().size, 1);
}

async fn a_version_of_a_key_is_an_entry_once(place: Place) {
    let locks = place.open().unwrap().locks;
    let log = Arc::new(place.log());
    let keys =
        [(); 3].map(|()| LoggedKeys { log: log.clone(), locks: locks.clone(), clock: Arc::new(SystemClock) });
    let (first, second) = (archived("release", 1, 0), archived("release", 2, 10));
    for version in [vec![first.clone()], vec![first.clone(), second.clone()], vec![first, second]] {
        for keys in &keys {
            keys.keep(version.clone()).await.unwrap();
        }
    }
    let entries = log.range(0, 100).await.unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| match serde_json::from_slice::<signet::domain::Entry>(&entry.bytes).unwrap().event {
            Event::KeyVersion { key_version, .. } => key_version.get(),
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(seen, [1, 2]);
}
