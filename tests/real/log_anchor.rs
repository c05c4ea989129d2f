//! The checkpoint that is kept in Vault's KV engine, and what it finds out.

use reqwest::Method;
use serde_json::{Value, json};

use crate::registries::demand_real_servers;
use crate::support::servers::{policy_name, unique};
use crate::support::world::Settings;
use crate::support::{Answer, World};

/// A world whose newest checkpoint is in Vault, with a token that may do what `config/vault-policy.hcl` says and no more.
async fn world() -> (World, String) {
    demand_real_servers();
    let path = unique("signet/log-anchor");
    let anchor = format!("[log.anchor]\nkind = 'vault'\npath = '{path}'\n");
    let mut world = World::with(Settings { sections: anchor, ..Settings::default() }).await;
    let file =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/vault-policy.hcl")).unwrap();
    let (_, block) = file.split_once("# path \"secret/data/signet/log-anchor\"").unwrap();
    let (block, _) = block.split_once("# }").unwrap();
    let policy = format!("path \"secret/data/{path}\"{}}}", block.replace("\n#", "\n"));
    let name = unique("anchor");
    world.vault_call(Method::PUT, &format!("sys/policies/acl/{name}"), json!({"policy": policy})).await;
    let token = json!({"policies": [name, policy_name(&world.key, 0)], "no_default_policy": true});
    let made = world.vault_call(Method::POST, "auth/token/create", token).await;
    world.write_vault_token(made["auth"]["client_token"].as_str().unwrap());
    world.restart();
    (world, path)
}

async fn sign(world: &World) -> Answer {
    let image = world.push_image().await;
    world.sign_image(&image).await
}

async fn opened(world: &World) {
    world.eventually("the log is open", async || (world.readiness().await.status == 200).then_some(())).await;
}

/// Entries that the checkpoint in Vault speaks of.
async fn anchored(world: &World, path: &str) -> u64 {
    let read = world.client.get(format!("{}/v1/secret/data/{path}", world.vault.address));
    let read = read.header("X-Vault-Token", &world.vault.root_token).send().await.unwrap();
    let secret: Value = read.json().await.unwrap();
    let note = secret["data"]["data"]["checkpoint"].as_str().unwrap_or_default();
    note.lines().nth(1).map_or(0, |size| size.parse().unwrap())
}

#[tokio::test]
async fn an_old_backup_is_found_out_by_vault() {
    let (mut world, path) = world().await;
    opened(&world).await;
    assert_eq!(sign(&world).await.status, 201);
    world.signet.terminate();
    world.signet.wait().await;
    let database = world.directory.path().join("signet.db");
    let backup = std::fs::read(&database).unwrap();
    world.serve();
    opened(&world).await;
    let size = sign(&world).await.body["log"]["index"].as_u64().unwrap() + 1;
    world.eventually("it follows", async || (anchored(&world, &path).await >= size).then_some(())).await;
    world.signet.terminate();
    world.signet.wait().await;
    for name in ["signet.db-wal", "signet.db-shm"] {
        let _ = std::fs::remove_file(world.directory.path().join(name));
    }
    std::fs::write(&database, backup).unwrap();
    world.serve();
    world.logs("an old backup was restored").await;
    assert_eq!(sign(&world).await.code(), "log-unavailable");

    world.signet.kill();
    let mut accept = tokio::process::Command::new(env!("CARGO_BIN_EXE_signet"));
    let config = world.directory.path().join("signet.toml");
    accept.args(["log", "anchor", "accept", "--reason", "the disk was lost", "--config"]).arg(config);
    let ended = accept.output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    world.serve();
    opened(&world).await;
    assert_eq!(sign(&world).await.status, 201);
}

#[tokio::test]
async fn while_vault_does_not_show_it_nothing_is_signed() {
    let (mut world, path) = world().await;
    opened(&world).await;
    assert_eq!(sign(&world).await.status, 201);
    world.eventually("it follows", async || (anchored(&world, &path).await > 0).then_some(())).await;
    let place = format!("/v1/secret/data/{path}");
    world
        .vault_proxy
        .break_with(move |call| (call.path == place).then(|| crate::support::Fault::status(503)));
    world.restart();
    world.logs("can not be read").await;
    assert_eq!(sign(&world).await.code(), "log-unavailable");
    world.vault_proxy.mend();
    opened(&world).await;
    assert_eq!(sign(&world).await.status, 201);
}
