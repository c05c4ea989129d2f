//! A log whose newest checkpoint is kept outside its database.

use serde_json::json;
use tokio::process::Command;

use super::{Answer, World};

/// Pushes an image, and asks for its signature.
pub async fn sign(world: &World) -> Answer {
    let image = world.push_image().await;
    world.sign_image(&image).await
}

/// Waits until the log takes entries.
pub async fn opened(world: &World) {
    world.eventually("the log is open", async || (world.readiness().await.status == 200).then_some(())).await;
}

/// Restores an old backup of the database, and asserts that nothing is signed until an operator has resolved it.
/// `anchored` reads of how many entries the checkpoint outside speaks: 0 where there is none yet.
pub async fn old_backup_is_found_out(world: &mut World, anchored: impl AsyncFn(&World) -> u64) {
    opened(world).await;
    assert_eq!(sign(world).await.status, 201);
    let path = |world: &World, name: &str| world.directory.path().join(name);
    world.signet.terminate();
    world.signet.wait().await;
    let backup = std::fs::read(path(world, "signet.db")).unwrap();
    world.serve();
    opened(world).await;
    let size = sign(world).await.body["log"]["index"].as_u64().unwrap() + 1;
    world.eventually("the anchor follows", async || (anchored(world).await >= size).then_some(())).await;
    world.signet.terminate();
    world.signet.wait().await;

    for name in ["signet.db-wal", "signet.db-shm"] {
        let _ = std::fs::remove_file(path(world, name));
    }
    std::fs::write(path(world, "signet.db"), backup).unwrap();
    world.serve();
    world.logs("an old backup was restored").await;
    let refused = sign(world).await;
    world.assert_problem(&refused, 503, "log-unavailable");
    let ready = world.readiness().await;
    assert_eq!(ready.status, 503);
    assert!(ready.body["checks"]["log"].as_str().unwrap().contains("signet log anchor accept"), "{ready:?}");

    world.signet.kill();
    let mut accept = Command::new(env!("CARGO_BIN_EXE_signet"));
    let config = path(world, "signet.toml");
    let accept =
        accept.args(["log", "anchor", "accept", "--reason", "the disk was lost", "--config"]).arg(config);
    let ended = accept.output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    world.serve();
    opened(world).await;
    assert_eq!(sign(world).await.status, 201);
    let resets = world
        .eventually("the entry is found", async || {
            let entries = world.entries("kind=anchor-reset").await;
            (!entries.is_empty()).then_some(entries)
        })
        .await;
    assert_eq!(resets[0]["reason"], json!("the disk was lost"));
    assert!(resets[0]["anchored"].as_u64().unwrap() >= size);
}
