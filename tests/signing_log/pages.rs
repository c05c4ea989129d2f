//! Page by page through a log that grows.

use signet::domain::EntryFilter;
use signet::ports::{EntryQuery, SigningLog as _};

use crate::fixtures::{Place, Story, all, contract, indexes};

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
        let page = log.query(query.clone()).await.unwrap();
        assert_eq!(page.size, 50);
        seen.extend(page.entries.iter().map(|entry| entry.index));
        log.append(vec![Story::new().intent()]).await.unwrap();
        if !page.more {
            break;
        }
        query.after = seen.last().copied();
        query.size = Some(page.size);
    }
    assert_eq!(seen, (0..50).step_by(2).collect::<Vec<_>>());
}

async fn more_is_said_only_where_more_follows(place: Place) {
    let log = place.log();
    assert!(!log.query(all()).await.unwrap().more, "the log is empty");
    log.append(vec![Story::new().intent(); 3]).await.unwrap();
    for (limit, more) in [(0, true), (2, true), (3, false), (4, false)] {
        let page = log.query(EntryQuery { limit, ..all() }).await.unwrap();
        assert_eq!((page.entries.len(), page.more), (limit.min(3), more), "limit {limit}");
    }
    let page = log.query(EntryQuery { limit: 2, size: Some(2), ..all() }).await.unwrap();
    assert!(!page.more, "what lies beyond `size` is not of this answer");
}

async fn a_page_is_bounded_in_entries(place: Place) {
    let log = place.log();
    log.append(vec![Story::new().intent(); EntryQuery::MAX_LIMIT + 1]).await.unwrap();
    let page = log.query(EntryQuery { limit: usize::MAX - 1, ..all() }).await.unwrap();
    assert_eq!((page.entries.len(), page.more), (EntryQuery::MAX_LIMIT, true));
}

async fn a_page_is_bounded_in_bytes(place: Place) {
    let log = place.log();
    let large = Story { principal: "x".repeat(60_000), ..Story::new() }.intent();
    log.append(vec![large; 100]).await.unwrap();
    let page = log.query(all()).await.unwrap();
    let bytes: usize = page.entries.iter().map(|entry| entry.bytes.len()).sum();
    assert!(page.more && bytes < 5 * 1024 * 1024, "{bytes} bytes");
    let next = EntryQuery { after: page.entries.last().map(|entry| entry.index), ..all() };
    assert_eq!(indexes(&log, next).await.first(), Some(&(page.entries.len() as u64)));
}
