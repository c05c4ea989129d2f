//! The log's own key.

use std::process::Command;

use reqwest::Method;
use serde_json::json;
use signet::tlog::VerifierKey;

use crate::support::World;
use crate::support::world::Settings;

#[tokio::test]
async fn its_public_keys_are_published_for_whoever_asks() {
    let settings = Settings {
        lines: vec![
            ("log", "origin = 'signet.example.com/log'".to_owned()),
            ("vault", "key_poll = '100ms'".to_owned()),
        ],
        ..Settings::default()
    };
    let mut world = World::with(settings).await;
    let published = async |world: &World| {
        let answer =
            world.client.get(format!("{}/.well-known/signet/log-keys", world.signet.api)).send().await;
        let answer = answer.unwrap();
        let etag = answer.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();
        let keys = text.lines().map(|line| line.parse::<VerifierKey>().unwrap()).collect::<Vec<_>>();
        (keys, etag.unwrap())
    };
    let (keys, etag) = published(&world).await;
    assert_eq!((keys.len(), keys[0].name()), (1, "signet.example.com/log"));
    let again = world.client.get(format!("{}/.well-known/signet/log-keys", world.signet.api));
    assert_eq!(again.header("if-none-match", etag).send().await.unwrap().status(), 304);

    let path = format!("transit/keys/{}/rotate", world.log_key);
    world.vault_call(Method::POST, &path, json!({})).await;
    let two = world.eventually("the rotation is noticed", async || {
        let (keys, _) = published(&world).await;
        (keys.len() == 2).then_some(keys)
    });
    assert_eq!(two.await[1], keys[0], "the newest is the first");

    // What the log is called stays, also where the configuration says nothing more of it.
    world.reconfigure(|text| text.replace("origin = 'signet.example.com/log'", ""));
    assert_eq!(published(&world).await.0[1], keys[0]);
}

#[tokio::test]
async fn it_is_none_of_the_keys_that_callers_see_or_sign_with() {
    let world = World::start().await;
    let image = world.push_image().await;
    let listed = world.get("/v1/keys").await.body.to_string();
    assert!(!listed.contains(&world.log_key), "{listed}");
    let read = world.get(&format!("/v1/keys/{}", world.log_key)).await;
    let signed = world.sign(json!({"image": image, "key": world.log_key})).await;
    assert_eq!((read.status.as_u16(), signed.status.as_u16()), (404, 404), "{signed:?}");
    let calls = world.vault_proxy.take_calls_apart();
    assert!(calls.iter().all(|call| call.method == "GET" || is_of_a_checkpoint(&call.body)), "{calls:?}");
}

/// Whether the call signs a checkpoint, and nothing that anybody asked for.
fn is_of_a_checkpoint(body: &[u8]) -> bool {
    use base64::Engine as _;
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    let input = body["batch_input"][0]["input"].as_str().unwrap();
    let text = base64::engine::general_purpose::STANDARD.decode(input).unwrap();
    String::from_utf8(text).unwrap().parse::<signet::tlog::Checkpoint>().is_ok()
}

#[tokio::test]
async fn a_log_does_not_change_its_name() {
    let mut world = World::start().await;
    let config = world.directory.path().join("signet.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[log]", "[log]\norigin = 'another.example.com/log'")).unwrap();
    world.signet.kill();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_signet"));
    let ended = serve.args(["serve", "--config"]).arg(&config).output().unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{words}");
    assert!(
        words.contains("`log.origin` is another.example.com/log, and this log began as signet/"),
        "{words}"
    );
}
