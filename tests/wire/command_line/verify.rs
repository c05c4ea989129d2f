//! `signet verify`.

use serde_json::json;

use super::Signet;
use crate::support::World;

#[tokio::test]
async fn a_signed_image_is_0_and_an_unsigned_one_1() {
    let world = World::start().await;
    let (signed, unsigned) = (world.push_image().await, world.push_image().await);
    assert_eq!(world.sign(json!({"image": signed, "annotations": {"k": "v"}})).await.status, 201);
    let verify = async |more: &[&str]| {
        let arguments = [&["verify", "--key", &world.key], more].concat();
        Signet::of(&world).run(&arguments).await
    };
    let ended = verify(&["-a", "k=v", &signed]).await;
    let lines: Vec<_> = ended.assert(0).stdout.lines().collect();
    assert_eq!(lines[0], format!("{signed}: signed"));
    assert!(
        lines[1].starts_with(&format!("  verified: {} v1, {}:", world.key, world.repository)),
        "{lines:?}"
    );
    assert_eq!((lines.len(), ended.stderr.as_str()), (2, ""));

    let ended = verify(&[&unsigned]).await;
    assert_eq!(ended.assert(1).stdout, format!("{unsigned}: unsigned\n"));
    assert_eq!(ended.stderr, "signet: not verified\n");
    verify(&["-a", "k=w", &signed]).await.assert(1);
    verify(&["--key-version", "2", &signed]).await.assert(1);
    verify(&["--type", "spdx", &signed]).await.assert(1);

    let ended = verify(&["--output", "json", &signed, &unsigned]).await;
    let states: Vec<_> = ended.assert(1).documents().iter().map(|answer| answer["state"].clone()).collect();
    assert_eq!(states, ["signed", "unsigned"]);
    assert_eq!(ended.stderr, "signet: 1 of 2 not verified\n");
}

#[tokio::test]
async fn a_registry_that_does_not_say_is_3_and_never_1() {
    let world = World::start().await;
    let (image, other) = (world.push_image().await, world.push_image().await);
    world.registry_proxy.break_with(|_| Some(crate::support::Fault::status(500)));
    let arguments = ["verify", "--timeout", "3s", "--key", &world.key, &image];
    let ended = Signet::of(&world).run(&arguments).await;
    ended.assert(3);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("registry-unavailable"), "{ended:?}");
    world.registry_proxy.mend();
    // Where one thing is sure and another is not, what is sure counts.
    let repository = world.repository.clone();
    assert!(other.starts_with(&repository));
    let hidden = super::super::support::attached::digest_of(&image).to_string();
    world
        .registry_proxy
        .break_with(move |call| call.path.contains(&hidden).then(|| crate::support::Fault::status(500)));
    let arguments = ["verify", "--timeout", "3s", "--key", &world.key, &image, &other];
    Signet::of(&world).run(&arguments).await.assert(1);
}
