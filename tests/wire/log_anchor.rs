//! A database that lost entries is found out by the checkpoint that is kept outside it.

use serde_json::json;
use tokio::process::Command;

use crate::support::World;
use crate::support::world::Settings;

#[tokio::test]
async fn an_old_backup_signs_nothing_until_an_operator_has_resolved_it() {
    let anchor = "[log.anchor]\nkind = 'file'\npath = 'anchor'\n";
    let mut world = World::with(Settings { sections: anchor.to_owned(), ..Settings::default() }).await;
    let sign = async |world: &World| {
        let image = world.push_image().await;
        world.sign_image(&image).await
    };
    let opened = async |world: &World| {
        world
            .eventually("the log is open", async || (world.readiness().await.status == 200).then_some(()))
            .await;
    };
    opened(&world).await;
    assert_eq!(sign(&world).await.status, 201);
    let path = |world: &World, name: &str| world.directory.path().join(name);
    world.signet.terminate();
    world.signet.wait().await;
    let backup = std::fs::read(path(&world, "signet.db")).unwrap();
    world.serve();
    opened(&world).await;
    let size = sign(&world).await.body["log"]["index"].as_u64().unwrap() + 1;
    world
        .eventually("the anchor follows", async || {
            let note = std::fs::read_to_string(path(&world, "anchor")).unwrap_or_default();
            let anchored: u64 = note.lines().nth(1)?.parse().ok()?;
            (anchored >= size).then_some(())
        })
        .await;
    world.signet.terminate();
    world.signet.wait().await;

    for name in ["signet.db-wal", "signet.db-shm"] {
        let _ = std::fs::remove_file(path(&world, name));
    }
    std::fs::write(path(&world, "signet.db"), backup).unwrap();
    world.serve();
    world.logs("an old backup was restored").await;
    let refused = sign(&world).await;
    world.assert_problem(&refused, 503, "log-unavailable");
    let ready = world.readiness().await;
    assert_eq!(ready.status, 503);
    assert!(ready.body["checks"]["log"].as_str().unwrap().contains("signet log anchor accept"), "{ready:?}");

    world.signet.kill();
    let mut accept = Command::new(env!("CARGO_BIN_EXE_signet"));
    let config = path(&world, "signet.toml");
    let accept =
        accept.args(["log", "anchor", "accept", "--reason", "the disk was lost", "--config"]).arg(config);
    let ended = accept.output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    world.serve();
    opened(&world).await;
    assert_eq!(sign(&world).await.status, 201);
    let resets = world
        .eventually("the entry is found", async || {
            let entries = world.entries("kind=anchor-reset").await;
            (!entries.is_empty()).then_some(entries)
        })
        .await;
    assert_eq!(resets[0]["reason"], json!("the disk was lost"));
    assert!(resets[0]["anchored"].as_u64().unwrap() >= size);
}
