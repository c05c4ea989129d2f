//! `[log.archive]`: entries leave the database for files that can be verified, and the log goes on.

use std::path::Path;

use serde_json::{Value, json};
use signet::tlog::{Checkpoint, Hash, Note, Row, TilePath, entries_of, root_of};

use crate::support::receiver::Away;
use crate::support::world::Settings;
use crate::support::{Answer, World};

/// Signs images, so many at once, until the log has `size` entries. The first image comes back.
async fn fill(world: &World, size: u64) -> String {
    let first = world.push_image().await;
    assert_eq!(world.sign_image(&first).await.status, 201);
    while end_of(world).await < size {
        let images = futures::future::join_all((0..16).map(|_| world.push_image())).await;
        let signed = futures::future::join_all(images.iter().map(|image| world.sign_image(image))).await;
        assert!(signed.iter().all(|answer| answer.status == 201));
    }
    first
}

/// The size of the log.
async fn end_of(world: &World) -> u64 {
    let answer = world.get("/v1/log/entries?limit=1").await;
    answer.body["log_size"].as_u64().unwrap()
}

async fn export(world: &World, query: &str) -> String {
    let url = format!("{}/v1/log/export?{query}", world.signet.api);
    let answer = world.client.get(url).bearer_auth(&world.token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

fn tile(directory: &Path, path: TilePath) -> Vec<u8> {
    let file = directory.join("tile").join(path.to_string());
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn assert_archived(world: &World, answer: &Answer, below: u64) {
    world.assert_problem(answer, 410, "archived");
    assert!(answer.detail().contains(&format!("Entries below {below} are archived")), "{}", answer.detail());
}

#[tokio::test]
async fn old_entries_become_files_that_verify_and_the_log_goes_on() {
    // Nothing that is to be attached or looked at again is archived: the configuration says that once is enough.
    let lines = vec![("attach", "look_again = []".to_owned())];
    let mut world = World::with(Settings { lines, ..Settings::default() }).await;
    let image = fill(&world, 300).await;
    let before = export(&world, "size=256").await;

    let archive = world.directory.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    world.reconfigure(|text| text + "\n[log.archive]\nafter = '1s'\ndirectory = 'archive'\n");
    let archived = world
        .eventually("entries are archived", async || {
            let entries = world.entries("kind=archive").await;
            (!entries.is_empty()).then_some(entries)
        })
        .await;
    assert_eq!(archived[0]["end"], 256);
    assert_eq!(archived[0]["principal"], "signet");

    // The bundle has the exact bytes, and its hashes lead to the root that the checkpoint signs.
    let bundle = tile(&archive, TilePath { row: Row::Entries, number: 0, width: 256 });
    let entries: Vec<_> = entries_of(&bundle).map(Result::unwrap).collect();
    let lines: Vec<_> = before.lines().take(256).collect();
    for (index, (entry, line)) in entries.iter().zip(&lines).enumerate() {
        assert_eq!(
            format!("{{\"index\":{index},\"entry\":{}}}", std::str::from_utf8(entry).unwrap()),
            **line
        );
    }
    let leaves: Vec<u8> = entries.iter().flat_map(|entry| Hash::of_leaf(entry).0).collect();
    assert_eq!(tile(&archive, TilePath { row: Row::Hashes(0), number: 0, width: 256 }), leaves);
    let note: Note = std::fs::read_to_string(archive.join("checkpoint")).unwrap().parse().unwrap();
    let checkpoint: Checkpoint = note.text.parse().unwrap();
    let root = root_of(checkpoint.head.size, |path| Ok::<_, String>(tile(&archive, path))).unwrap();
    assert_eq!(root, checkpoint.head.root);

    // What is gone says where it is, and what is left can be asked for.
    world
        .eventually("the entries have left the database", async || {
            (world.get("/v1/log/entries/0").await.status == 410).then_some(())
        })
        .await;
    assert_archived(&world, &world.get("/v1/log/entries/255").await, 256);
    assert_archived(&world, &world.get("/v1/log/export?from_index=0").await, 256);
    assert_eq!(world.get("/v1/log/entries/256").await.status, 200);
    let rest = export(&world, "").await;
    assert!(rest.starts_with("{\"index\":256,"), "{rest}");
    let found = world.get("/v1/log/entries?limit=1000").await;
    assert_eq!(found.body["entries"][0]["index"], 256);
    assert_eq!(world.get("/v1/log/counts?by=kind").await.status, 200);

    // An old signature is found in the registry, and a new one is made.
    let again = world.sign_image(&image).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(world.sign_image(&world.push_image().await).await.status, 201);
    let body = json!({"image": image, "key": world.key}).to_string();
    let verified = world.post("/v1/verifications", &world.token, body).await;
    assert_eq!((&verified.body["state"], verified.status.as_u16()), (&json!("signed"), 200));

    // The database holds the boundary against everything else.
    world.signet.terminate();
    assert!(world.signet.wait().await.success());
    {
        let raw = rusqlite::Connection::open(world.directory.path().join("signet.db")).unwrap();
        for sql in [
            "DELETE FROM entries WHERE idx = (SELECT max(idx) FROM entries)",
            "DELETE FROM entries",
            "UPDATE archived SET below = 0",
            "UPDATE archived SET below = 1000000",
            "DELETE FROM archived",
            "INSERT OR REPLACE INTO archived VALUES (1, 1000000)",
        ] {
            assert!(raw.execute(sql, []).is_err(), "{sql}");
        }
        let first: i64 = raw.query_row("SELECT min(idx) FROM entries", [], |row| row.get(0)).unwrap();
        assert_eq!(first, 256);
    }

    // The search index can be made anew without what is gone.
    for file in std::fs::read_dir(world.directory.path()).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("signet.db.") || name.contains("search") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    world.serve();
    let stopped: Vec<Value> = world
        .eventually("the search knows the rest again", async || {
            let stops = world.entries("kind=stop").await;
            (stops.len() == 1).then_some(stops)
        })
        .await;
    assert_eq!(stopped.len(), 1);
    assert_eq!(world.sign_image(&world.push_image().await).await.status, 201);
}

#[tokio::test]
async fn nothing_is_archived_that_a_receiver_was_not_sent_or_that_can_not_be_written() {
    let nobody = Away::new();
    let away = nobody.address();
    let mut world = World::with(Settings {
        lines: vec![("attach", "look_again = []".to_owned())],
        sections: format!(
            "[log.archive]\nafter = '1s'\ndirectory = 'archive'\n[[log.push]]\nname = 'siem'\nkind = 'syslog'\naddress = '{away}'\ntls = false\n"
        ),
        ..Settings::default()
    })
    .await;
    let archive = world.directory.path().join("archive");
    fill(&world, 280).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(4);
    while tokio::time::Instant::now() < deadline {
        assert!(world.entries("kind=archive").await.is_empty());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(!archive.exists());

    // A file where the directory should be.
    std::fs::write(&archive, "").unwrap();
    world.reconfigure(|text| text[..text.find("[[log.push]]").unwrap()].to_owned());
    world.logs("entries could not be archived, and stay in the database").await;
    assert_eq!(world.get("/v1/log/entries/0").await.status, 200);
    assert!(world.entries("kind=archive").await.is_empty());
}
