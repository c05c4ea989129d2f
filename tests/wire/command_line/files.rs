//! `signet sign-blob`.

use std::io::{Seek as _, SeekFrom, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use signet::domain::{HashAlgorithm, KeyType, PublicKey, SigningInput};

use super::Signet;
use crate::support::World;

/// Whether the world's key made this base64 over `content`.
async fn verifies(world: &World, content: &[u8], signature: &str) -> bool {
    let key = PublicKey::from_pem(&world.public_key(1).await).unwrap();
    let input = SigningInput::of(&KeyType::EcdsaP256, HashAlgorithm::Sha256, &content.to_vec().into());
    key.verifies(&input, &STANDARD.decode(signature.trim_end()).unwrap())
}

#[tokio::test]
async fn a_file_is_signed_into_files_or_onto_standard_output() {
    let world = World::start().await;
    let read = |name: &str| std::fs::read_to_string(world.directory.path().join(name)).unwrap();
    std::fs::write(world.directory.path().join("app.yaml"), "a: 1\n").unwrap();
    let ended = Signet::of(&world).run(&["sign-blob", "app.yaml"]).await;
    assert!(verifies(&world, b"a: 1\n", &ended.assert(0).stdout).await, "{ended:?}");

    let arguments = ["sign-blob", "--bundle", "app.json", "--signature", "app.sig", "app.yaml"];
    Signet::of(&world).run(&arguments).await.assert(0);
    assert!(verifies(&world, b"a: 1\n", &read("app.sig")).await);
    let bundle: Value = serde_json::from_str(&read("app.json")).unwrap();
    assert_eq!(bundle["messageSignature"]["signature"], read("app.sig").trim_end());

    std::fs::write(world.directory.path().join("other.yaml"), "b: 2\n").unwrap();
    let arguments = ["sign-blob", "--bundle", "signed", "--signature", "signed", "app.yaml", "other.yaml"];
    let ended = Signet::of(&world).run(&arguments).await;
    assert_eq!(ended.assert(0).stdout.lines().count(), 2);
    assert!(verifies(&world, b"b: 2\n", &read("signed/other.yaml.sig")).await);
    assert!(read("signed/app.yaml.sigstore.json").contains("messageSignature"));

    let ended = Signet::of(&world).input("from a pipe").run(&["sign-blob", "-"]).await;
    assert!(verifies(&world, b"from a pipe", &ended.assert(0).stdout).await);
    let ended = Signet::of(&world).run(&["sign-blob", "--output", "json", "app.yaml"]).await;
    assert_eq!(ended.assert(0).documents()[0]["name"], "app.yaml");
}

#[tokio::test]
async fn a_large_file_is_hashed_in_little_memory() {
    let world = World::start().await;
    let path = world.directory.path().join("large.img");
    let mut file = std::fs::File::create(&path).unwrap();
    // A hole, of which the file system keeps nothing.
    file.seek(SeekFrom::Start(512 * 1024 * 1024)).unwrap();
    file.write_all(b"end").unwrap();
    drop(file);
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(["sign-blob", "large.img", "--output", "json"])
        .envs([("SIGNET_URL", &world.signet.api), ("SIGNET_TOKEN", &world.token)])
        .current_dir(world.directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let mut peak = 0;
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(5));
    let status = loop {
        pause.tick().await;
        peak = peak.max(peak_memory(pid).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success(), "{status}");
    assert!(peak > 0 && peak < 128 * 1024, "{peak} KiB");
}

/// KiB of memory that a process had at most.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
