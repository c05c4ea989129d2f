//! `[[log.push]]`: the log, sent to those who collect logs.

use serde_json::Value;

use crate::support::receiver::{Away, Manner, Receiver};
use crate::support::world::Settings;
use crate::support::{Authority, World};

async fn pushing(sections: String) -> World {
    World::with(Settings { sections, ..Settings::default() }).await
}

/// Waits until the receiver has every entry that is in the log, and checks their order.
async fn assert_all(world: &World, receiver: &Receiver) {
    let size = world.entries("limit=1000").await.len() as u64;
    world
        .eventually("every entry has arrived", async || {
            (receiver.indexes().len() as u64 >= size).then_some(())
        })
        .await;
    let indexes = receiver.indexes();
    assert_eq!(indexes, (0..indexes.len() as u64).collect::<Vec<_>>(), "in order, and none is missing");
}

async fn sign_some(world: &World, count: usize) {
    for _ in 0..count {
        assert_eq!(world.sign_image(&world.push_image().await).await.status, 201);
    }
}

#[tokio::test]
async fn syslog_over_tls_gets_every_entry_in_order_over_cut_connections_and_restarts() {
    let authority = Authority::new("logs");
    let receiver = Receiver::syslog(Some(&authority)).await;
    receiver.next([Manner::CutAfter(10), Manner::CutAfter(200)]);
    let mut world = pushing(format!(
        "[[log.push]]\nname = 'siem'\nkind = 'syslog'\naddress = '{}'\nca_file = '{}'\nbatch = 3\n",
        receiver.address,
        authority.file().display()
    ))
    .await;
    sign_some(&world, 2).await;
    assert_all(&world, &receiver).await;
    let before = receiver.messages().len();
    world.restart();
    receiver.next([Manner::CutAfter(100)]);
    sign_some(&world, 2).await;
    assert_all(&world, &receiver).await;

    let messages = receiver.messages();
    let (head, text) = messages.last().unwrap().split_once("] ").unwrap();
    assert!(head.starts_with("<110>1 20") && head.contains(" - signet - "), "{head}");
    let value: Value = serde_json::from_str(text).unwrap();
    let entry = world.get(&format!("/v1/log/entries/{}", value["index"])).await.body;
    assert_eq!(value["entry"], entry);
    let after_restart = &messages[before..];
    assert!(
        after_restart.len() < before + 30,
        "what was acknowledged is not sent again from the beginning: {after_restart:?}"
    );
    assert!(world.metric("signet_log_push_failures_total{receiver=\"siem\"}").await >= 1.0);
}

#[tokio::test]
async fn a_receiver_that_is_posted_to_gets_every_entry_in_order_whatever_it_refuses() {
    let authority = Authority::new("logs");
    let receiver = Receiver::http(Some(&authority)).await;
    receiver.next([Manner::Status(503), Manner::Status(413), Manner::CutAfter(0), Manner::Status(302)]);
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "hunter2\n").unwrap();
    let mut world = pushing(format!(
        "[[log.push]]\nname = 'siem'\nkind = 'https'\nurl = 'https://{}/ingest?key=hunter3'\nca_file = '{}'\ntoken_file = '{}'\n",
        receiver.address,
        authority.file().display(),
        token.path().display(),
    ))
    .await;
    sign_some(&world, 2).await;
    assert_all(&world, &receiver).await;
    let head = receiver.heads().pop().unwrap();
    assert!(head.starts_with("post /ingest?key=hunter3 http/1.1"), "{head}");
    assert!(head.contains("authorization: bearer hunter2") && head.contains("x-ndjson"), "{head}");
    let failures = world.metric("signet_log_push_failures_total{receiver=\"siem\"}").await;
    assert!(failures >= 4.0, "{failures}");
    world.logs("302").await;
    world.restart();
    sign_some(&world, 1).await;
    assert_all(&world, &receiver).await;
    let lines = world.signet.log_lines().join("\n") + &world.metrics().await;
    assert!(!lines.contains("hunter"), "{lines}");
}

#[tokio::test]
async fn a_receiver_that_is_away_holds_no_signature_up_and_gets_everything_later() {
    let receiver = Receiver::syslog(None).await;
    let nobody = Away::new();
    let away = nobody.address();
    let mut world = pushing(format!(
        "[[log.push]]\nname = 'siem'\nkind = 'syslog'\naddress = '{away}'\ntls = false\n[[log.push]]\nname = 'other'\nkind = 'syslog'\nformat = 'cef'\naddress = '{}'\ntls = false\n",
        receiver.address
    ))
    .await;
    sign_some(&world, 3).await;
    world
        .eventually("the failure is counted", async || {
            (world.metric("signet_log_push_failures_total{receiver=\"siem\"}").await >= 1.0).then_some(())
        })
        .await;
    world
        .eventually("the next attempt sees how much waits", async || {
            (world.metric("signet_log_push_lag{receiver=\"siem\"}").await >= 3.0).then_some(())
        })
        .await;
    world
        .eventually("the other receiver gets its lines", async || {
            let messages = receiver.messages();
            messages.iter().any(|message| message.contains("] CEF:0|Signet|Signet|")).then_some(())
        })
        .await;
    let back = Receiver::syslog(None).await;
    world.reconfigure(|text| text.replace(&away, &back.address));
    assert_all(&world, &back).await;
}
