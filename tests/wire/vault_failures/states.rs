//! A Vault that is not there, sealed, or does not let us in.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Method;
use serde_json::json;
use tokio::net::TcpSocket;

use super::{assert_failed, assert_mended, story};
use crate::support::attached::digest_of;
use crate::support::world::Settings;
use crate::support::{Fault, Proxy, World};

#[tokio::test]
async fn without_a_connection_it_starts_refuses_and_recovers() {
    let mut world = World::start().await;
    let image = world.push_image().await;
    // A port that is taken, and where nobody listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = socket.local_addr().unwrap();
    let proxy = world.vault_proxy.url();
    world.reconfigure(|text| text.replace(&proxy, &format!("http://{address}")));

    let answer = world.sign_image(&image).await;
    world.assert_problem(&answer, 503, "vault-unavailable");
    assert!(!answer.body.to_string().contains(&address.to_string()));
    // Which version was to sign was never known: there was nothing to intend.
    assert!(story(&world, digest_of(&image)).await.is_empty());
    let keys = world.get("/v1/keys").await;
    world.assert_problem(&keys, 503, "vault-unavailable");
    assert_eq!(world.readiness().await.status, 503);

    Proxy::start_on(socket.listen(1024).unwrap(), &world.vault.address);
    assert_mended(&world, &image).await;
    world.eventually("it is ready", async || (world.readiness().await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_vault_that_goes_down_fails_signing_alone_and_readiness() {
    let world = World::counted().await;
    let (signed, image) = (world.push_image().await, world.push_image().await);
    assert_eq!(world.sign_image(&signed).await.status, 201);
    world.vault_proxy.break_with(|_| Some(Fault::Cut));
    let answer = world.sign_image(&image).await;
    assert_failed(&world, &image, &answer, 503, "vault-unavailable").await;
    world.eventually("it is not ready", async || (world.readiness().await.status == 503).then_some(())).await;
    // What needs no signature works on.
    assert_eq!(world.sign_image(&signed).await.status, 200);
    assert_eq!(world.get("/v1/keys").await.status, 200);
    world.vault_proxy.mend();
    assert_mended(&world, &image).await;
    world.eventually("it is ready", async || (world.readiness().await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_sealed_vault_is_503_until_it_is_unsealed() {
    let world = World::counted_with(Settings { private_vault: true, ..Settings::default() }).await;
    let image = world.push_image().await;
    world.vault_call(Method::PUT, "sys/seal", json!({})).await;
    let answer = world.sign_image(&image).await;
    assert_failed(&world, &image, &answer, 503, "vault-sealed").await;
    assert!(answer.detail().contains("unseal"), "{}", answer.detail());
    assert_eq!(answer.retry_after(), Some(30));
    let readiness = world
        .eventually("it is not ready", async || {
            Some(world.readiness().await).filter(|ready| ready.status == 503)
        })
        .await;
    assert!(readiness.body["checks"]["vault"].as_str().unwrap().contains("sealed"), "{readiness:?}");

    let key = world.vault.unseal_key.clone().unwrap();
    world.vault_call(Method::PUT, "sys/unseal", json!({"key": key})).await;
    // A real Vault is sealed to its callers for a moment longer.
    world
        .eventually("it is unsealed", async || {
            let url = format!("{}/v1/sys/health", world.vault.address);
            (world.client.get(url).send().await.unwrap().status() == 200).then_some(())
        })
        .await;
    assert_mended(&world, &image).await;
    world.eventually("it is ready", async || (world.readiness().await.status == 200).then_some(())).await;
}

/// From now on `node` is a standby that does not forward, and `active` the active node.
fn redirect(node: &Proxy, active: &Proxy) {
    let to = active.url();
    active.mend();
    node.break_with(move |call| {
        let headers = vec![("location", format!("{to}{}", call.path))];
        Some(Fault::Answer { status: 307, headers, body: String::new() })
    });
}

#[tokio::test]
async fn a_standby_leads_to_the_active_node_where_that_is_configured() {
    let mut world = World::counted().await;
    let (first, second) = (Proxy::start(&world.vault.address).await, world.vault_proxy.clone());
    redirect(&first, &second);
    let (before, after) =
        (format!("address = '{}'\n", second.url()), format!("address = '{}'\n", first.url()));
    world.reconfigure(|text| text.replace(&before, &after));
    second.take_calls();
    let image = world.push_image().await;
    let answer = world.sign_image(&image).await;
    world.assert_problem(&answer, 503, "vault-unavailable");
    assert!(second.calls().is_empty(), "the token went where nobody had allowed it");
    world.logs("vault.node_addresses").await;

    let nodes = format!("{after}node_addresses = ['{}']\n", second.url());
    world.reconfigure(|text| text.replace(&after, &nodes));
    assert_mended(&world, &image).await;
    for (standby, active) in [(&second, &first), (&first, &second)] {
        redirect(standby, active);
        let image = world.push_image().await;
        assert_mended(&world, &image).await;
    }
}

#[tokio::test]
async fn a_revoked_token_is_502_until_the_file_has_another() {
    let world = World::counted().await;
    let (first, second) = (world.new_vault_token().await, world.new_vault_token().await);
    world.write_vault_token(&first);
    let image = world.push_image().await;
    assert_mended(&world, &image).await;

    world.vault_call(Method::POST, "auth/token/revoke", json!({"token": first})).await;
    let image = world.push_image().await;
    let answer = world.sign_image(&image).await;
    assert_failed(&world, &image, &answer, 502, "vault-denied").await;
    assert_eq!(answer.retry_after(), Some(30));
    assert!(answer.detail().contains("token and policy"), "{}", answer.detail());
    world.eventually("it is not ready", async || (world.readiness().await.status == 503).then_some(())).await;

    // With white space around it, as people and agents write files.
    world.write_vault_token(&format!("\n  {second}\n"));
    assert_mended(&world, &image).await;
    assert!(!world.signet.log_lines().concat().contains(&second));
}

#[tokio::test]
async fn a_token_file_that_is_gone_or_empty_is_502_until_it_is_back() {
    let world = World::counted().await;
    let path = world.directory.path().join("vault-token");
    let token = std::fs::read_to_string(&path).unwrap();
    let breakages: [fn(&std::path::Path); 3] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, "\n").unwrap(),
        |path| std::fs::write(path, "a\nb").unwrap(),
    ];
    for break_it in breakages {
        let image = world.push_image().await;
        break_it(&path);
        let answer = world.sign_image(&image).await;
        assert_failed(&world, &image, &answer, 502, "vault-denied").await;
        std::fs::write(&path, &token).unwrap();
        assert_mended(&world, &image).await;
    }
}
