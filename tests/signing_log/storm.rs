//! `kill -9` at random moments, under load: nothing that was answered is lost, and what was published holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::Rng as _;
use signet::log::check;
use signet::ports::StoreReader;
use signet::tlog::{Edge, Hash, TileId, TreeHead};

use crate::fixtures::{Place, contract, outside};
use crate::support::soak;
use crate::writer::{Word, Writer};

contract! {
    storm_of_kills_nothing_answered_is_lost_and_what_was_published_holds,
}

async fn storm_of_kills_nothing_answered_is_lost_and_what_was_published_holds(place: Place) {
    let kills = if soak() { 300 } else { 6 };
    // Several replicas where there may be several.
    let writers = if place.url.is_some() { 2 } else { 1 };
    outside(|| storm(&place, kills, writers));
}

fn storm(place: &Place, kills: usize, writers: usize) {
    let start = Instant::now();
    let mut seen = Seen::default();
    let mut rng = rand::rng();
    for kill in 0..kills {
        let running: Vec<_> = (0..writers).map(|_| Writer::over(place)).collect();
        // Some are killed while they start, most while they write.
        let moment = Instant::now() + Duration::from_millis(rng.random_range(0..1500));
        for writer in &running {
            if kill % 4 != 0 {
                seen.take(writer.wait_for("it writes", |word| word.is_answer()));
            }
        }
        for writer in running {
            seen.take(writer.until(moment));
            seen.take(writer.kill());
        }
        let reader = place.reader();
        seen.assert_held(&*reader);
        if kill % 50 == 0 || kill + 1 == kills {
            check(&*reader, |_, _| ()).unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
        }
    }
    let size = place.reader().head().unwrap().0.size;
    println!(
        "{kills} kills of {writers}: {} answered entries, all kept; {} checkpoints seen, all hold; {size} entries; {:.0?}",
        seen.answered.len(),
        seen.published.len(),
        start.elapsed()
    );
    assert!(!seen.answered.is_empty() && !seen.published.is_empty());
}

/// What anybody has ever been told.
#[derive(Default)]
pub struct Seen {
    pub answered: BTreeSet<u64>,
    pub published: BTreeMap<u64, Hash>,
    /// With their leaves, not held against the log yet.
    new_answers: Vec<(u64, String)>,
    /// The largest size that was published and held against the log.
    held: u64,
}

impl Seen {
    pub fn take(&mut self, words: Vec<Word>) {
        for word in words {
            match word {
                Word::Answered { index, leaf } => {
                    assert!(self.answered.insert(index), "index {index} was answered twice");
                    self.new_answers.push((index, leaf));
                }
                Word::Published(TreeHead { size, root }) => {
                    let before = self.published.insert(size, root);
                    assert!(before.is_none_or(|before| before == root), "two roots at size {size}");
                }
                Word::Refused(error) => panic!("nothing is in the way: {error}"),
            }
        }
    }

    /// Holds what is new against the log, which keeps what it had: the newest checkpoint that was held before is held again.
    pub fn assert_held(&mut self, reader: &dyn StoreReader) {
        let Ok((head, _)) = reader.head() else {
            assert!(self.answered.is_empty() && self.published.is_empty(), "the log can not be read");
            return;
        };
        let mut tiles = BTreeMap::new();
        let mut tile = |id: TileId| -> Option<Vec<u8>> {
            tiles.entry(id).or_insert_with(|| reader.tiles(&[id]).unwrap().pop().flatten()).clone()
        };
        for (index, leaf) in std::mem::take(&mut self.new_answers) {
            assert!(index < head.size, "entry {index} was answered, and there are {}", head.size);
            let row = tile(TileId { level: 0, number: index / 256 }).expect("the tile of an answered entry");
            let hash = &row[(index % 256) as usize * 32..][..32];
            assert_eq!(Hash(hash.try_into().unwrap()).to_string(), leaf, "entry {index} was answered");
        }
        for (size, root) in self.published.range(self.held..) {
            assert!(*size <= head.size, "{size} entries were published, and there are {}", head.size);
            let edge = Edge::of_tiles(*size, &mut tile).expect("the tiles of a published size are there");
            assert_eq!(edge.head(), TreeHead { size: *size, root: *root }, "what was published holds");
        }
        self.held = self.published.last_key_value().map_or(0, |(size, _)| *size);
    }
}
