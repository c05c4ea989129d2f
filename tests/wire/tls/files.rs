//! Files that can not be used are named before anything starts.

use rcgen::CertificateParams;
use tokio::process::Command;

use super::world;
use crate::support::{Authority, World};

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
const OLD_ENCRYPTED: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAAA\n-----END RSA PRIVATE KEY-----\n";

/// What `signet config check` and `signet serve` say of this world's files, which they refuse.
async fn words(world: &World) -> [String; 2] {
    let ended = async |arguments: &[&str], code| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
        command.args(arguments).arg("--config").arg(world.directory.path().join("signet.toml"));
        let output = command.env_clear().kill_on_drop(true).output();
        let output = tokio::time::timeout(std::time::Duration::from_secs(30), output).await.unwrap().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}");
        words
    };
    [ended(&["config", "check"], 1).await, ended(&["serve"], 2).await]
}

#[tokio::test]
async fn a_file_that_can_not_be_used_is_named_with_its_key_and_what_is_wrong() {
    let (mut world, authority) = world().await;
    world.signet.kill();
    let server = authority.server("signet");
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 1, 1);
    let expired = authority.sign(&params);
    params.not_before = rcgen::date_time_ymd(3000, 1, 1);
    params.not_after = rcgen::date_time_ymd(3001, 1, 1);
    let not_yet = authority.sign(&params);
    let other = Authority::new("Another").server("other");
    let nonsense = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    for (cert, key, setting, reason) in [
        (server.cert.as_str(), ENCRYPTED, "key_file", "it is encrypted"),
        (&server.cert, OLD_ENCRYPTED, "key_file", "it is encrypted"),
        (&server.cert, "", "key_file", "it has no private key in PEM"),
        (&server.cert, &server.cert, "key_file", "it has no private key in PEM"),
        (&server.cert, &other.key, "key_file", "this is not the key of the certificate in cert_file"),
        ("", &server.key, "cert_file", "it has no certificate in PEM"),
        (&server.key, &server.key, "cert_file", "it has no certificate in PEM"),
        (nonsense, &server.key, "cert_file", "its first certificate can not be read"),
        (&expired.cert, &expired.key, "cert_file", "the certificate expired at 2026-01-01T00:00:00Z"),
        (&not_yet.cert, &not_yet.key, "cert_file", "the certificate is valid from 3000-01-01T00:00:00Z on"),
    ] {
        std::fs::write(world.directory.path().join("tls.pem"), cert).unwrap();
        std::fs::write(world.directory.path().join("tls.key"), key).unwrap();
        for words in words(&world).await {
            assert!(words.contains(&format!("http.tls.{setting}: /")) && words.contains(reason), "{words}");
            assert!(!words.contains("PRIVATE KEY-"), "{words}");
        }
    }
    server.write(world.directory.path());
    std::fs::write(authority.file(), "").unwrap();
    for words in words(&world).await {
        assert!(words.contains("http.tls.client_ca_file: /"), "{words}");
    }
    std::fs::remove_file(world.directory.path().join("tls.pem")).unwrap();
    for words in words(&world).await {
        assert!(words.contains("http.tls.cert_file: /") && words.contains("No such file"), "{words}");
    }
}
