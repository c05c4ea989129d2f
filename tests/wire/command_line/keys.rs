//! `signet keys`.

use super::Signet;
use crate::support::World;

#[tokio::test]
async fn keys_are_listed_without_a_token() {
    let mut world = World::start().await;
    world.rotate().await;
    world.restart();
    let signet = || Signet::of(&world).without("SIGNET_TOKEN");
    let ended = signet().run(&["keys", "list"]).await;
    let lines: Vec<_> = ended.assert(0).stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ended:?}");
    assert!(lines[0].starts_with(&format!("{} v1, ecdsa-p256, usable, since ", world.key)), "{lines:?}");
    assert!(lines[1].starts_with(&format!("{} v2, ecdsa-p256, active, since ", world.key)), "{lines:?}");
    let ended = signet().run(&["keys", "list", "--output", "json"]).await;
    assert_eq!(ended.assert(0).documents(), [world.get("/v1/keys").await.body]);
}

#[tokio::test]
async fn public_keys_are_exported_as_files() {
    let mut world = World::start().await;
    world.rotate().await;
    world.restart();
    let (first, second) = (world.public_key(1).await, world.public_key(2).await);
    let signet = || Signet::of(&world).without("SIGNET_TOKEN");
    let read = |name: &str| std::fs::read_to_string(world.directory.path().join(name)).unwrap();

    assert_eq!(signet().run(&["keys", "export"]).await.assert(0).stdout, second);
    let arguments = ["keys", "export", "--key", &world.key, "--version", "1", "-o", "first.pem"];
    let ended = signet().run(&arguments).await;
    assert_eq!((ended.assert(0).stdout.as_str(), read("first.pem")), ("", first.clone()));
    assert_eq!(ended.stderr, "signet: first.pem is written\n");

    signet().run(&["keys", "export", "--all", "-o", "keys"]).await.assert(0);
    assert_eq!(read(&format!("keys/{}-v1.pem", world.key)), first);
    assert_eq!(read(&format!("keys/{}-v2.pem", world.key)), second);
    assert_eq!(read(&format!("keys/{}.pem", world.key)), format!("{second}{first}"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(world.directory.path().join("first.pem")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(signet().run(&["keys", "export", "--all"]).await.assert(0).stdout, format!("{second}{first}"));

    for arguments in [vec!["--key", "other"], vec!["--version", "3"]] {
        let ended = signet().run(&[&["keys", "export"], arguments.as_slice()].concat()).await;
        assert_eq!(ended.assert(1).stdout, "", "{arguments:?}");
    }
}
