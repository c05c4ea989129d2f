//! The published log, read by Go's `x/mod/sumdb`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use signet::ports::NoteSigner as _;
use signet::tlog::{Checkpoint, Edge, Hash, Row, TileId, TilePath, push_entry};

use crate::registries::demand_real_servers;
use crate::support::notes::{LocalNotes, ORIGIN};
use crate::support::{World, servers, soak};

/// What Go says of the log in `place`.
fn read_by_go(keys: &Path, place: &str, token: &str) -> (bool, String) {
    let mut tlog = Command::new(servers::path_of("/tlog"));
    let ended = tlog.arg(keys).arg(place).env("SIGNET_TOKEN", token).output().unwrap();
    let words = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8(words).unwrap().trim().to_owned())
}

/// Writes a log of `size` entries into `folder`, and the key that has signed it into `keys`.
async fn write(folder: &Path, keys: &Path, size: u64) {
    let put = |path: String, bytes: &[u8]| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let entry = |index: u64| format!("{{\"index\":{index}}}").into_bytes();
    let (mut edge, mut tiles) = (Edge::empty(), BTreeMap::<TileId, Vec<u8>>::new());
    for number in 0..size.div_ceil(256) {
        let end = size.min((number + 1) * 256);
        let mut bundle = Vec::new();
        (number * 256..end).for_each(|index| push_entry(&mut bundle, &entry(index)));
        let path = TilePath { row: Row::Entries, number, width: (end - number * 256) as u16 };
        put(format!("tile/{path}"), &bundle);
        for growth in edge.append((number * 256..end).map(|index| Hash::of_leaf(&entry(index)))) {
            tiles.entry(growth.tile).or_default().extend(growth.hashes.iter().flat_map(|hash| hash.0));
        }
    }
    for (id, bytes) in &tiles {
        put(format!("tile/{}", TilePath::of_tree(id.level, id.number, size).unwrap()), bytes);
    }
    let notes = LocalNotes::new();
    let note = notes.sign_note(&Checkpoint::new(ORIGIN, edge.head()).to_string()).await.unwrap();
    put("checkpoint".to_owned(), note.as_bytes());
    std::fs::write(keys, format!("{}\n", notes.key())).unwrap();
}

#[tokio::test]
async fn a_mirror_of_every_size_is_what_go_takes_for_a_log() {
    demand_real_servers();
    let sizes = [0, 1, 255, 256, 257, 65_537].into_iter().chain(soak().then_some(1_000_000));
    for size in sizes {
        let directory = tempfile::tempdir().unwrap();
        let (folder, keys) = (directory.path().join("log"), directory.path().join("keys"));
        write(&folder, &keys, size).await;
        let place = folder.display().to_string();
        assert_eq!(read_by_go(&keys, &place, ""), (true, size.to_string()));
        if size > 0 {
            let path = TilePath::of_tree(0, 0, size).unwrap();
            let file = folder.join(format!("tile/{path}"));
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[3] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            assert!(!read_by_go(&keys, &place, "").0, "{size}: it takes anything");
        }
    }
}

#[tokio::test]
async fn a_running_signet_is_what_go_takes_for_a_log() {
    demand_real_servers();
    let world = World::start().await;
    for _ in 0..3 {
        let image = world.push_image().await;
        assert_eq!(world.sign_image(&image).await.status, 201);
    }
    let file = world.directory.path().join("log.keys");
    std::fs::write(&file, world.log_keys().await).unwrap();
    let (fits, words) = read_by_go(&file, &format!("{}/log", world.signet.api), &world.token);
    assert!(fits && words.parse::<u64>().unwrap() >= 6, "{words}");
}
