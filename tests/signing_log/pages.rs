//! Page by page through a log that grows.

use signet::domain::EntryFilter;
use signet::ports::{EntryQuery, SigningLog as _};

use crate::fixtures::{Place, Story, all, contract, indexes, page};

contract! {
    pages_neither_overlap_nor_skip_while_the_log_grows,
    more_is_said_only_where_more_follows,
    a_page_is_bounded_in_entries,
    a_page_is_bounded_in_bytes,
}

async fn pages_neither_overlap_nor_skip_while_the_log_grows(place: Place) {
    let log = place.log();
    let other = Story { principal: "other".to_owned(), ..Story::new() };
    let entries = (0..25).flat_map(|_| [Story::new().intent(), other.intent()]);
    log.append(entries.collect()).await.unwrap();

    let mut query = EntryQuery {
        filter: EntryFilter { principal: Some("token:ci".to_owned()), ..EntryFilter::default() },
        limit: 10,
        ..EntryQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let found = page(&log, query.clone()).await;
        assert_eq!(found.size, 50);
        seen.extend(found.entries.iter().map(|entry| entry.index));
        log.append(vec![Story::new().intent()]).await.unwrap();
        let Some(next) = found.next else { break };
        query.after = next.checked_sub(1);
        query.size = Some(found.size);
    }
    assert_eq!(seen, (0..50).step_by(2).collect::<Vec<_>>());
}

async fn more_is_said_only_where_more_follows(place: Place) {
    let log = place.log();
    assert_eq!(page(&log, all()).await.next, None, "the log is empty");
    log.append(vec![Story::new().intent(); 3]).await.unwrap();
    for (limit, next) in [(0, Some(0)), (2, Some(2)), (3, None), (4, None)] {
        let found = page(&log, EntryQuery { limit, ..all() }).await;
        assert_eq!((found.entries.len(), found.next), (limit.min(3), next), "limit {limit}");
    }
    let found = page(&log, EntryQuery { limit: 2, size: Some(2), ..all() }).await;
    assert_eq!(found.next, None, "what lies beyond `size` is not of this answer");
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
}
