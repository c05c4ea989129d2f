//! The tree over the entries, whatever was written.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use futures::future::join_all;
use sha2::Sha256;
use signet::ports::{LogError, NewEntry, SigningLog as _, StoreReader, Writes};
use signet::tlog::{Edge, Hash, Row, TileId, TilePath, TreeHead};

use crate::fixtures::{Place, Story, contract, outside, writes};

contract! {
    every_kind_of_write_leaves_a_tree_over_all_entries,
    the_tiles_of_a_store_are_those_of_its_tree,
    commits_that_fail_leave_the_tree_as_it_was,
    the_tree_goes_on_when_the_log_is_opened_again,
    many_writers_at_once_make_one_tree,
    entries_of_an_older_signet_are_hashed_at_the_start_from_wherever_that_was_left,
}

async fn every_kind_of_write_leaves_a_tree_over_all_entries(place: Place) {
    let log = place.log();
    let story = Story::new();
    log.append(vec![story.intent()]).await.unwrap();
    log.append(vec![story.signed(), story.attached(), story.not_attached()]).await.unwrap();
    log.offer(story.refusal());
    log.append(vec![story.adopted(), story.failed()]).await.unwrap();
    log.close().await.unwrap();
    drop(log);
    outside(|| {
        let mut store = place.store();
        assert_eq!(whole(&*store.reader()), 7);
        store.probe().unwrap();
        assert_eq!(store.commit(&Writes::default()).unwrap().first, 7);
        assert_eq!(whole(&*store.reader()), 7);
    });
}

async fn the_tiles_of_a_store_are_those_of_its_tree(place: Place) {
    outside(|| {
        let mut store = place.store();
        assert_eq!(store.head(), TreeHead::empty());
        assert_eq!(whole(&*store.reader()), 0);
        let entry = NewEntry::try_from(Story::new().intent()).unwrap();
        let mut size = 0;
        for to in [1, 255, 256, 257, 1000, 1024] {
            let entries = vec![entry.clone(); to - size];
            let written = store.commit(&Writes { entries, ..Writes::default() }).unwrap();
            assert_eq!((written.before.size, written.head.size), (size as u64, to as u64));
            assert_eq!(written.head, store.head());
            assert_eq!(whole(&*store.reader()), to as u64);
            size = to;
        }
        let tiles = store.reader().tiles(&[TileId { level: 0, number: 4 }, TileId { level: 255, number: 0 }]);
        assert_eq!(tiles.unwrap(), [None, None], "what is not there");
    });
}

async fn commits_that_fail_leave_the_tree_as_it_was(place: Place) {
    outside(|| {
        let mut store = place.store();
        store.commit(&writes(Story::new().intent())).unwrap();
        for _ in 0..3 {
            // There is no outcome at that place.
            let wrong = signet::ports::DeliveryChange::Add {
                entry: 1,
                parcel: signet::ports::Parcel { document: "document".into(), replace: false },
                due: crate::fixtures::at(0),
            };
            let failing = Writes { changes: vec![wrong], ..writes(Story::new().intent()) };
            assert!(store.commit(&failing).is_err());
            assert_eq!(store.verdict(), Ok(()));
            assert_eq!(whole(&*store.reader()), store.head().size);
            store.commit(&writes(Story::new().signed())).unwrap();
        }
        assert_eq!(whole(&*store.reader()), 4);
    });
}

async fn the_tree_goes_on_when_the_log_is_opened_again(place: Place) {
    outside(|| {
        for size in 0..4 {
            let mut store = place.store();
            assert_eq!(store.head().size, size);
            assert_eq!(store.commit(&writes(Story::new().intent())).unwrap().head, store.head());
            assert_eq!(whole(&*store.reader()), size + 1);
        }
    });
}

async fn many_writers_at_once_make_one_tree(place: Place) {
    let replicas = if place.url.is_some() { 2 } else { 1 };
    let logs: Vec<_> = (0..replicas).map(|_| place.log()).collect();
    let writers = (0..16).map(|writer| &logs[writer % logs.len()]).map(async |log| {
        for count in 1..=12 {
            log.append(vec![Story::new().intent(); count]).await.unwrap();
        }
    });
    join_all(writers).await;
    drop(logs);
    assert_eq!(outside(|| whole(&*place.reader())), 16 * 12 * 13 / 2);
}

/// As a process leaves it that was killed while it hashed what an older Signet had written.
async fn entries_of_an_older_signet_are_hashed_at_the_start_from_wherever_that_was_left(place: Place) {
    let entry = NewEntry::try_from(Story::new().intent()).unwrap();
    let add = |count| {
        let writes = Writes { entries: vec![entry.clone(); count], ..Writes::default() };
        outside(|| place.store().commit(&writes).unwrap().head)
    };
    let tiles = ["level = 0 AND number = 0", "level = 0 AND number = 1", "level = 1 AND number = 0"];
    let left = add(300);
    let edge = place.value("SELECT edge FROM head").await;
    let mut rows = Vec::new();
    for tile in tiles {
        rows.push(place.value(&format!("SELECT hashes FROM tiles WHERE {tile}")).await);
    }
    let whole_head = add(10_500);
    for (head, edge, rows) in [(TreeHead::empty(), &[][..], &[][..]), (left, &edge[..], &rows[..])] {
        let incomplete = if place.url.is_some() { "false" } else { "0" };
        let (root, edge) = (place.literal(head.root.as_bytes()), place.literal(edge));
        let size = head.size;
        place
            .sql(&format!(
                "UPDATE head SET size = {size}, root = {root}, edge = {edge}, complete = {incomplete};
                 DELETE FROM tiles WHERE level >= 0;"
            ))
            .await;
        for ((level, number), row) in [(0, 0), (0, 1), (1, 0)].into_iter().zip(rows) {
            let row = place.literal(row);
            place
                .sql(&format!("INSERT INTO tiles (level, number, hashes) VALUES ({level}, {number}, {row})"))
                .await;
        }
        outside(|| {
            let store = place.store();
            assert_eq!(store.head(), whole_head);
            assert_eq!(whole(&*store.reader()), 10_800);
        });
    }
}

/// The size of a log whose head, tiles and entries all tell the same, as another implementation does.
pub fn whole(reader: &dyn StoreReader) -> u64 {
    let (head, _) = reader.head().unwrap();
    let mut tree: MemoryBackedTree<Sha256, Vec<u8>> = MemoryBackedTree::new();
    let mut leaves = Vec::new();
    while (leaves.len() as u64) < head.size {
        let entries = reader.entries(leaves.len() as u64, 1000).unwrap();
        assert!(!entries.is_empty(), "entry {} is missing", leaves.len());
        for entry in entries {
            assert_eq!(entry.index, leaves.len() as u64, "there are no gaps");
            leaves.push(Hash::of_leaf(&entry.bytes));
            tree.push(entry.bytes);
        }
    }
    assert_eq!(reader.entry(head.size), Ok(None), "the head covers all");
    if head.size > 0 {
        assert_eq!(head.root.as_bytes()[..], tree.root().as_bytes()[..]);
    }
    let mut edge = Edge::empty();
    let mut rows = std::collections::BTreeMap::<_, Vec<u8>>::new();
    for growth in edge.append(leaves) {
        rows.entry(growth.tile).or_default().extend(growth.hashes.iter().flat_map(|hash| hash.0));
    }
    assert_eq!(edge.head(), head);
    let ids = TilePath::all_of_tree(head.size).map(|path| match path.row {
        Row::Hashes(level) => TileId { level, number: path.number },
        Row::Entries => unreachable!("a tree is of hashes"),
    });
    let ids: Vec<_> = ids.collect();
    let tiles: Result<_, LogError> = reader.tiles(&ids);
    for (id, tile) in ids.into_iter().zip::<Vec<_>>(tiles.unwrap()) {
        assert_eq!(tile.as_ref(), rows.get(&id), "{id:?}");
    }
    head.size
}
