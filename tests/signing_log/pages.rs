//! Page by page through a log that grows.

use signet::domain::{Digest, EntryFilter, Reach};
use signet::ports::{EntryQuery, SearchProgress, SigningLog as _, Store};

use crate::fixtures::{
    Place, Story, all, contract, following, indexes, newest, outside, page, reversed, writes,
};

contract! {
    pages_neither_overlap_nor_skip_while_the_log_grows,
    pages_of_every_size_have_the_same_entries_in_either_order,
    what_many_share_is_found_on_as_many_pages_as_it_takes,
    the_newest_come_once_the_index_knows_all_that_is_asked_for,
    more_is_said_only_where_more_follows,
    a_page_is_bounded_in_entries,
    a_page_is_bounded_in_bytes,
}

async fn pages_neither_overlap_nor_skip_while_the_log_grows(place: Place) {
    let log = place.log();
    let other = Story { principal: "other".to_owned(), ..Story::new() };
    let entries = (0..25).flat_map(|_| [Story::new().intent(), other.intent()]);
    log.append(entries.collect()).await.unwrap();

    let of_ci = EntryFilter { principal: Some("token:ci".to_owned()), ..EntryFilter::default() };
    let oldest = EntryQuery { filter: of_ci, limit: 10, size: Some(50), ..EntryQuery::default() };
    let expected: Vec<u64> = (0..50).step_by(2).collect();
    for (mut query, expected) in
        [(newest(oldest.clone()), reversed(expected.clone())), (oldest.clone(), expected)]
    {
        let mut seen = Vec::new();
        loop {
            let found = page(&log, query.clone()).await;
            assert_eq!(found.size, 50);
            seen.extend(found.entries.iter().map(|entry| entry.index));
            log.append(vec![Story::new().intent()]).await.unwrap();
            let Some(next) = found.next else { break };
            query = following(query, next, found.size);
        }
        assert_eq!(seen, expected, "{query:?}");
    }
    let size = page(&log, oldest).await.progress.log_size;
    assert!(size > 50, "it has grown");
    let now = newest(EntryQuery { limit: 1, ..all() });
    assert_eq!(indexes(&log, now).await, (0..size).rev().collect::<Vec<_>>());
}

async fn pages_of_every_size_have_the_same_entries_in_either_order(place: Place) {
    let log = place.log();
    let other = Story { principal: "other".to_owned(), ..Story::new() };
    let entries = (0..5).flat_map(|_| [Story::new().intent(), other.intent(), Story::new().signed()]);
    log.append(entries.collect()).await.unwrap();
    let of_other = EntryFilter { principal: Some("token:other".to_owned()), ..EntryFilter::default() };
    let of_one = EntryFilter { digest: Some(other.digest), denied: Some(false), ..of_other.clone() };
    for (filter, found) in [
        (EntryFilter::default(), (0..15).collect::<Vec<u64>>()),
        (of_other, vec![1, 4, 7, 10, 13]),
        (of_one, vec![1, 4, 7, 10, 13]),
    ] {
        for limit in 1..=16 {
            let query = EntryQuery { filter: filter.clone(), limit, ..EntryQuery::default() };
            assert_eq!(indexes(&log, query.clone()).await, found, "{query:?}");
            assert_eq!(indexes(&log, newest(query)).await, reversed(found.clone()), "{limit}: {filter:?}");
        }
    }
}

async fn what_many_share_is_found_on_as_many_pages_as_it_takes(place: Place) {
    let log = place.log();
    let shared = Story::new();
    let mut entries = vec![shared.intent(); 3500];
    for place in [0, 1499, 1500, 1999, 2000, 2001, 3499] {
        entries[place] = Story { digest: Digest::of(b"image"), ..shared.clone() }.refusal();
    }
    for group in entries.chunks(500) {
        log.append(group.to_vec()).await.unwrap();
    }
    let filter = EntryFilter {
        digest: Some(shared.digest),
        kind: Some("refusal".to_owned()),
        ..EntryFilter::default()
    };
    let query = EntryQuery { filter, ..all() };
    let found = vec![0, 1499, 1500, 1999, 2000, 2001, 3499];
    assert_eq!(indexes(&log, query.clone()).await, found);
    assert_eq!(indexes(&log, newest(query)).await, reversed(found));
}

async fn the_newest_come_once_the_index_knows_all_that_is_asked_for(place: Place) {
    outside(|| {
        let mut store = place.store();
        let index = |store: &dyn Store| {
            let mut projector = store.projector();
            while projector.step().unwrap().more {}
        };
        let ask = |store: &dyn Store, size| {
            let query = newest(EntryQuery { size, ..all() });
            let found = store.reader().query(&query, &Reach::whole()).unwrap();
            let indexes: Vec<_> = found.entries.iter().map(|entry| entry.index).collect();
            (indexes, found.size, found.next, found.progress)
        };
        for _ in 0..3 {
            store.commit(&writes(Story::new().intent())).unwrap();
        }
        index(&*store);
        store.commit(&writes(Story::new().intent())).unwrap();
        let behind = SearchProgress { log_size: 4, indexed: 3 };
        assert_eq!(ask(&*store, None), (vec![2, 1, 0], 3, None, behind), "what can be found now");
        assert_eq!(ask(&*store, Some(4)), (vec![], 4, Some(4), behind), "the newest is not left out");
        index(&*store);
        let same = SearchProgress { log_size: 4, indexed: 4 };
        assert_eq!(ask(&*store, Some(4)), (vec![3, 2, 1, 0], 4, None, same));
    });
}

async fn more_is_said_only_where_more_follows(place: Place) {
    let log = place.log();
    assert_eq!(page(&log, all()).await.next, None, "the log is empty");
    log.append(vec![Story::new().intent(); 3]).await.unwrap();
    for (limit, next) in [(0, Some(0)), (2, Some(2)), (3, None), (4, None)] {
        let found = page(&log, EntryQuery { limit, ..all() }).await;
        assert_eq!((found.entries.len(), found.next), (limit.min(3), next), "limit {limit}");
        let next = next.map(|next| 3 - next);
        let found = page(&log, newest(EntryQuery { limit, ..all() })).await;
        assert_eq!((found.entries.len(), found.next), (limit.min(3), next), "limit {limit}, newest first");
    }
    let found = page(&log, EntryQuery { limit: 2, size: Some(2), ..all() }).await;
    assert_eq!(found.next, None, "what lies beyond `size` is not of this answer");
    let found = page(&log, newest(EntryQuery { limit: 2, before: Some(2), ..all() })).await;
    assert_eq!((found.size, found.next), (2, None), "nor what does not lie before");
}

async fn a_page_is_bounded_in_entries(place: Place) {
    let log = place.log();
    log.append(vec![Story::new().intent(); EntryQuery::MAX_LIMIT + 1]).await.unwrap();
    let found = page(&log, EntryQuery { limit: usize::MAX - 1, ..all() }).await;
    // It may also end early where it takes long.
    assert!((100..=EntryQuery::MAX_LIMIT).contains(&found.entries.len()), "{}", found.entries.len());
    assert_eq!(found.next, Some(found.entries.len() as u64));
}

async fn a_page_is_bounded_in_bytes(place: Place) {
    let log = place.log();
    let large = Story { principal: "x".repeat(60_000), ..Story::new() }.intent();
    log.append(vec![large; 100]).await.unwrap();
    let found = page(&log, all()).await;
    let bytes: usize = found.entries.iter().map(|entry| entry.bytes.len()).sum();
    assert!(found.next.is_some() && bytes < 5 * 1024 * 1024, "{bytes} bytes");
    let next = EntryQuery { after: found.next.and_then(|next| next.checked_sub(1)), ..all() };
    assert_eq!(indexes(&log, next).await.first(), Some(&(found.entries.len() as u64)));
    let found = page(&log, newest(all())).await;
    let bytes: usize = found.entries.iter().map(|entry| entry.bytes.len()).sum();
    assert!(found.next.is_some() && bytes < 5 * 1024 * 1024, "{bytes} bytes");
    assert_eq!(found.next, found.entries.last().map(|entry| entry.index), "newest first");
    assert_eq!(indexes(&log, newest(all())).await, (0..100).rev().collect::<Vec<_>>());
}
