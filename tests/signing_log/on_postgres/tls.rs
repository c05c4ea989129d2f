//! A server with a certificate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use signet::config::LogConfig;
use signet::ports::SigningLog as _;
use tempfile::TempDir;

use crate::fixtures::{Place, Story};
use crate::support::postgres::{self, Server};
use crate::support::servers::{self, Running};

#[tokio::test]
async fn a_certificate_of_a_known_authority_is_asked_for() {
    let authority = Authority::make().await;
    let server = Server::start_with(|data| authority.certify(data)).await;
    let place = Place { url: Some(format!("{}?sslmode=verify-full", server.url())), ..Place::sqlite() };
    let known = LogConfig { ca_file: Some(authority.path("vault-ca.pem")), ..place.config() };
    let log =
        signet::store::open(&known).map(|opened| opened.store).unwrap_or_else(|error| panic!("{error}"));
    let log = signet::log::GroupCommitLog::start(log, signet::log::Guard::open(), std::sync::Arc::default())
        .unwrap();
    assert_eq!(log.append(vec![Story::new().intent()]).await, Ok(0));
    assert!(log.entry(0).await.unwrap().is_some());
    let raw = postgres::connect(&server.url()).await;
    let sql =
        "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'signet'";
    let row = raw.query_one(sql, &[]).await.unwrap();
    // Of the writer, the reader, and who fills the search index.
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (3, 3));

    let error = place.open().map(drop).unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    let nobody = Authority::make().await;
    let other = LogConfig { ca_file: Some(nobody.path("vault-ca.pem")), ..place.config() };
    let error = signet::store::open(&other).map(drop).unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let mut place = Place::postgres().await;
    place.url.as_mut().unwrap().push_str("?sslmode=require");
    let error = place.open().map(drop).unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
}

#[tokio::test]
async fn authorities_that_can_not_be_read_are_named() {
    let place = Place::postgres().await;
    let file = place.directory.path().join("ca.pem");
    for text in
        [None, Some("no certificate"), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")]
    {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let config = LogConfig { ca_file: Some(file.clone()), ..place.config() };
        let error = signet::store::open(&config).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("`log.ca_file`: ") && error.contains("ca.pem"), "{error}");
    }
}

/// An authority, and a certificate for 127.0.0.1 that it signed: a Vault in development mode makes them when it starts.
struct Authority {
    directory: TempDir,
}

impl Authority {
    async fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = servers::free_port();
        let vault = Command::new(servers::path_of("/vault/binary"))
            .args(["server", "-dev", "-dev-tls", "-dev-no-store-token"])
            .arg(format!("-dev-tls-cert-dir={}", directory.path().display()))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .env("HOME", directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _vault = Running(vault);
        for _ in 0..600 {
            // It listens when it has written them.
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Self { directory };
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("Vault made no certificates in 30 s");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Has the server of this folder show the certificate.
    fn certify(&self, data: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        for (from, to) in [("vault-cert.pem", "server.crt"), ("vault-key.pem", "server.key")] {
            let to = data.join(to);
            std::fs::copy(self.path(from), &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            postgres::own(&to);
        }
        let settings = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(settings, text + "\nssl = on\n").unwrap();
    }
}
