//! What 64 attestations of 16 MiB cost that are asked for at once. `cargo test --test real large_attestations -- --nocapture` shows it.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream;
use serde_json::Value;

use crate::registries::world_with;
use crate::support::World;
use crate::support::proxy::signing_calls;
use crate::support::world::{Answer, Settings};

const AT_ONCE: usize = 64;
const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_of_16_mib_at_once_are_signed_in_less_memory_than_they_have_bytes() {
    let lines = vec![
        // So much that none of them is sent away on a slow machine.
        ("limits", "request_timeout = '10m'".to_owned()),
        ("registries", "request_timeout = '5m'".to_owned()),
        // Long after the test.
        ("attach", "look_again = ['1h']".to_owned()),
    ];
    for layout in ["cosign", "bundle"] {
        let settings =
            Settings { lines: lines.clone(), registry: Some("distribution-3"), ..Settings::default() };
        let world = world_with(settings).await;
        world.public_key(1).await;
        let images = join_all((0..AT_ONCE).map(|_| world.push_image())).await;
        let before = memory(&world, "VmRSS");
        world.take_all_calls();
        let predicate = predicate();
        let answers = join_all(images.iter().map(|image| attest(&world, image, layout, &predicate))).await;
        for answer in &answers {
            assert_eq!(
                (answer.status.as_u16(), &answer.body["state"]),
                (201, &Value::from("attached")),
                "{answer:?}"
            );
        }
        let peak = memory(&world, "VmHWM");
        let calls = world.registry_proxy.take_calls().len();
        let signing = signing_calls(&world.vault_proxy.take_calls()).len();
        println!(
            "{layout}: {before} MiB before, at most {peak} MiB; {:.1} registry calls for each, {signing} signing calls for all",
            calls as f64 / AT_ONCE as f64
        );
        assert!(peak < AT_ONCE * predicate.len() / MIB, "{peak} MiB");
        assert!(calls <= 11 * AT_ONCE, "{calls} calls");
    }
}

/// An object of exactly 16 MiB, in few pieces, so that an unoptimised build does not take long for it.
fn predicate() -> Bytes {
    let (head, tail) = (r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":["#, "{}]}");
    let component = format!(r#"{{"type":"library","name":"a","description":"{}"}},"#, "x".repeat(64 * 1024));
    let mut predicate = head.to_owned();
    while predicate.len() + component.len() + tail.len() <= 16 * MIB {
        predicate.push_str(&component);
    }
    predicate.push_str(&" ".repeat(16 * MIB - predicate.len() - tail.len()));
    (predicate + tail).into()
}

/// Asks until there is room, as often as the answer says.
async fn attest(world: &World, image: &str, layout: &str, predicate: &Bytes) -> Answer {
    loop {
        let answer = attest_once(world, image, layout, predicate).await;
        match answer.code() {
            "overloaded" => tokio::time::sleep(Duration::from_secs(answer.retry_after().unwrap())).await,
            _ => return answer,
        }
    }
}

/// All of them send the same bytes.
async fn attest_once(world: &World, image: &str, layout: &str, predicate: &Bytes) -> Answer {
    let head =
        format!(r#"{{"image":"{image}","format":"{layout}","predicate_type":"cyclonedx","predicate":"#);
    let pieces = [Bytes::from(head), predicate.clone(), Bytes::from("}")];
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let body = reqwest::Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    let request =
        world.client.post(format!("{}/v1/attestations", world.signet.api)).bearer_auth(&world.token);
    let request = request.header("Content-Length", length).timeout(Duration::from_secs(600));
    Answer::read(request.body(body).send().await.unwrap()).await
}

/// A line of `/proc/<pid>/status`, in MiB.
fn memory(world: &World, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.signet.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kibibytes = line.trim_matches(|c: char| !c.is_ascii_digit());
    kibibytes.parse::<usize>().unwrap() / 1024
}
