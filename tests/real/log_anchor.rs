//! The checkpoint that is kept in Vault's KV engine, and what it finds out.

use reqwest::Method;
use serde_json::{Value, json};

use crate::registries::demand_real_servers;
use crate::support::World;
use crate::support::anchor::{old_backup_is_found_out, opened, sign};
use crate::support::servers::{policy_name, unique};
use crate::support::world::Settings;

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
    old_backup_is_found_out(&mut world, async |world: &World| anchored(world, &path).await).await;
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
