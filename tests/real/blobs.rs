//! Files that Signet signs, the stock `cosign verify-blob` verifies: the raw signature and the bundle.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::clients::{Clients, Cosign};
use crate::support::World;
use crate::support::servers::KeyForm;
use crate::support::world::{Answer, Settings};

const CONTENT: &[u8] = b"content of a file\n";

/// Whether cosign verifies the answer's raw signature and its bundle over `content`.
async fn verified(
    clients: &Clients,
    version: Cosign,
    pem: &str,
    answer: &Value,
    content: &[u8],
    more: &[&str],
) -> [Result<(), String>; 2] {
    let name = crate::support::servers::unique("file");
    let file = clients.file(&name, content);
    let signature = clients.file(&format!("{name}.sig"), answer["signature"].as_str().unwrap());
    let bundle = clients.file(&format!("{name}.sigstore.json"), answer["bundle"].to_string());
    let raw = clients.cosign_verify_blob(version, pem, &["--signature", &signature], &file, more).await;
    let root = clients.trusted_root();
    let form: Vec<&str> = match version {
        Cosign::V2 => vec!["--bundle", &bundle, "--new-bundle-format", "--trusted-root", &root],
        Cosign::V3 => vec!["--bundle", &bundle],
    };
    [raw, clients.cosign_verify_blob(version, pem, &form, &file, more).await]
}

async fn sign(world: &World, request: Value) -> Answer {
    let answer = world.sign_blob(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

#[tokio::test]
async fn files_of_each_key_type_verify_and_one_changed_byte_does_not() {
    for (key_type, hash, flags) in [
        ("ecdsa-p256", None, &[][..]),
        ("ecdsa-p384", None, &[]),
        ("ecdsa-p384", Some("sha2-384"), &["--signature-digest-algorithm", "sha384"]),
        ("ecdsa-p521", None, &[]),
        ("ecdsa-p521", Some("sha2-512"), &["--signature-digest-algorithm", "sha512"]),
        ("rsa-2048", None, &[]),
        ("rsa-3072", None, &[]),
        ("rsa-4096", None, &[]),
        ("ed25519", None, &[]),
    ] {
        let key = KeyForm { key_type, hash };
        let world = World::with(Settings { key, ..Settings::default() }).await;
        let (clients, pem) = (Clients::of(&world), world.public_key(1).await);
        let answer = sign(&world, json!({"content": STANDARD.encode(CONTENT)})).await;
        for version in Cosign::ALL {
            let good = verified(&clients, version, &pem, &answer.body, CONTENT, flags).await;
            assert_eq!(good, [Ok(()), Ok(())], "{version:?} {key_type} {hash:?}");
            for bad in verified(&clients, version, &pem, &answer.body, b"content of a file!", flags).await {
                assert!(bad.is_err(), "{version:?} {key_type} {hash:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_was_signed_by_its_digest_verifies_and_so_does_its_digest_alone() {
    let world = World::start().await;
    let (clients, pem) = (Clients::of(&world), world.public_key(1).await);
    let digest = signet::domain::Digest::of(CONTENT).to_string();
    let answer = sign(&world, json!({"digest": digest, "name": "file"})).await;
    for version in Cosign::ALL {
        let good = verified(&clients, version, &pem, &answer.body, CONTENT, &[]).await;
        assert_eq!(good, [Ok(()), Ok(())], "{version:?}");
    }
    let bundle = clients.file("bundle.json", answer.body["bundle"].to_string());
    let alone = clients.cosign_verify_blob(Cosign::V3, &pem, &["--bundle", &bundle], &digest, &[]).await;
    assert_eq!(alone, Ok(()));
}
