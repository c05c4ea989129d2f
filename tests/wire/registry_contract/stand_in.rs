//! What is promised of the stand-in alone.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use signet::dev::registry::Registry;

use super::{INDEX, MANIFEST, Repository, digest, header, quirks, send, with_digest};
use crate::support::servers::{self, TestRegistry};

fn serve(directory: &std::path::Path) -> (SocketAddr, Repository) {
    let registry = Registry::new(directory).expect("the directory can be used");
    let address = servers::serve(registry.router());
    let repository = Repository {
        client: servers::client(),
        registry: TestRegistry { name: "stand-in".to_owned(), url: format!("http://{address}") },
        name: "team/app".to_owned(),
        quirks: quirks("stand-in"),
    };
    (address, repository)
}

#[tokio::test]
async fn a_restart_with_the_same_directory_keeps_everything_but_open_uploads() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (_, before) = serve(directory.path());
    let manifest = before.push_image("v1").await;
    let blob = before.push_blob(&b"kept"[..]).await;
    let upload = before.start_upload().await;

    let (address, after) = serve(directory.path());
    let read = after.get("manifests/v1").await;
    assert_eq!(header(&read, "content-type").as_deref(), Some(MANIFEST));
    assert_eq!(read.bytes().await.expect("the body arrives"), manifest);
    assert_eq!(after.get(&format!("blobs/{blob}")).await.text().await.ok().as_deref(), Some("kept"));
    let upload = upload.replace(&before.registry.url, &format!("http://{address}"));
    assert_eq!(send(after.client.get(upload)).await.status(), 404);
}

#[tokio::test]
async fn a_digest_that_is_none_is_told_as_such() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (_, repository) = serve(directory.path());
    for resource in ["blobs", "manifests", "referrers"] {
        let answer = super::fault(repository.get(&format!("{resource}/sha256:00")).await).await;
        assert_eq!(answer, super::expected(400, "DIGEST_INVALID"), "{resource}");
    }
}

#[tokio::test]
async fn a_manifest_that_contradicts_its_media_type_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (_, repository) = serve(directory.path());
    let contradiction = repository.image(json!({"mediaType": INDEX})).await;
    let answer = super::fault(repository.put_manifest("v1", MANIFEST, contradiction).await).await;
    assert_eq!(answer, super::expected(400, "MANIFEST_INVALID"));
}

#[tokio::test]
async fn an_upload_goes_on_where_a_broken_connection_left_it() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (address, repository) = serve(directory.path());
    let upload = repository.start_upload().await;
    let path = upload.strip_prefix(&format!("http://{address}")).expect("it is the same server").to_owned();
    tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).expect("the server listens");
        write!(connection, "PATCH {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000\r\n\r\nhello")
            .expect("the server reads");
        connection.shutdown(Shutdown::Write).expect("the connection is open");
        // Until the server has seen the end; whether it says something is its own affair.
        let _ = connection.read_to_end(&mut Vec::new());
    })
    .await
    .expect("the client does not panic");

    let reached = async {
        while header(&send(repository.client.get(&upload)).await, "range").as_deref() != Some("0-4") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("what arrived is kept");
    let digest = digest(b"hello world");
    let put = repository.client.put(with_digest(&upload, &digest));
    assert_eq!(send(put.header("content-range", "5-10").body(" world")).await.status(), 201);
    assert_eq!(
        repository.get(&format!("blobs/{digest}")).await.text().await.ok().as_deref(),
        Some("hello world")
    );
}

#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (_, repository) = serve(directory.path());
    let tags: Vec<String> = (0..24).map(|number| format!("v{number:02}")).collect();
    let pushed = futures::future::join_all(tags.iter().map(|tag| repository.push_image(tag))).await;
    for (tag, manifest) in tags.iter().zip(&pushed) {
        let read = repository.get(&format!("manifests/{tag}")).await;
        assert_eq!(read.bytes().await.expect("the body arrives"), manifest, "{tag}");
    }
    let same = futures::future::join_all((0..8).map(|_| repository.push_image("same"))).await;
    let last = repository.get("manifests/same").await.bytes().await.expect("the body arrives");
    assert!(same.iter().any(|manifest| *manifest == last), "the tag holds one of them, whole");
}

#[tokio::test]
async fn no_path_leaves_the_directory() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    std::fs::write(directory.path().join("secret"), "secret").expect("the directory is writable");
    let (address, _) = serve(&directory.path().join("registry"));
    for path in [
        "/v2/../secret",
        "/v2/../../secret/manifests/x",
        "/v2/%2e%2e/manifests/x",
        "/v2/a/manifests/..",
        "/v2/a/manifests/%2e%2e%2f%2e%2e%2fsecret",
        "/v2/a/manifests/..%2f..%2f..%2f..%2fsecret",
        "/v2/a/blobs/sha256:..%2f..%2f..%2fsecret",
        "/v2/a/blobs/uploads/..%2f..%2fsecret",
        "/v2/a/../../secret/tags/list",
        "/v2/a%00/manifests/x",
        "/v2/%2fetc/manifests/passwd",
        "/v2/a/referrers/sha256:%2e%2e",
    ] {
        let answer = tokio::task::spawn_blocking(move || raw(address, path)).await.expect("no panic");
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(!answer.contains("secret\n") && !answer.ends_with("secret"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_method_that_a_resource_does_not_have_is_405() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (_, repository) = serve(directory.path());
    let blob = format!("blobs/{}", digest(b""));
    for (method, path) in [
        (Method::PUT, blob.as_str()),
        (Method::POST, "manifests/v1"),
        (Method::DELETE, "tags/list"),
        (Method::GET, "blobs/uploads/"),
        (Method::POST, "/v2/"),
    ] {
        let answer = super::fault(send(repository.call(method.clone(), path)).await).await;
        assert_eq!(answer, super::expected(405, "UNSUPPORTED"), "{method} {path}");
    }
}

/// A request whose path no client library has tidied up.
fn raw(address: SocketAddr, path: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("the server listens");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("the server reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("the answer is text");
    answer
}
