//! Blobs that the registry has elsewhere.

use axum::response::IntoResponse as _;
use serde_json::json;

use super::*;
use crate::ports::{Registry as _, RegistryReply};

/// Reads the blob `blob` as a caller with a password, from a registry that sends it on to `location`.
async fn read(location: String) -> (RegistryReply<Vec<u8>>, Server) {
    let server = Server::start(move |seen| match seen.authorization() {
        None => with(status(401), "www-authenticate", r#"Basic realm="registry""#),
        Some(_) if seen.last() == "here" => b"blob".into_response(),
        Some(_) => with(status(307), "location", &location),
    })
    .await;
    let config = config(&server, &json!({ "username": "signet", "password": "hunter2" }));
    let repository = repository(&server, "app");
    let answer = client_with(&config).blob(&repository, Digest::of(b"blob"), 100).await;
    (answer, server)
}

#[tokio::test]
async fn another_host_gets_no_credentials() {
    let storage = Server::start(|_| b"blob".into_response()).await;
    let (blob, registry) = read(format!("http://{}/blob?signature=x", storage.host)).await;
    assert_eq!(blob.unwrap().as_deref(), Some(&b"blob"[..]));
    assert!(registry.seen().last().unwrap().authorization().is_some());
    assert_eq!(storage.seen()[0].authorization(), None);
    assert_eq!(storage.seen()[0].query, "signature=x");
}

#[tokio::test]
async fn the_registry_itself_still_does() {
    let (blob, registry) = read("/here".to_owned()).await;
    assert_eq!(blob.unwrap().as_deref(), Some(&b"blob"[..]));
    assert!(registry.seen().last().unwrap().authorization().is_some());
}

#[tokio::test]
async fn redirects_end() {
    let (blob, registry) = read("/around".to_owned()).await;
    assert!(matches!(blob, Err(RegistryError::Protocol { .. })), "{blob:?}");
    // The challenge, the blob, and three redirects.
    assert_eq!(registry.calls().len(), 5);
}

#[tokio::test]
async fn a_storage_that_lacks_the_blob_does_not_make_it_absent() {
    let storage = Server::start(|_| status(404)).await;
    let (blob, _registry) = read(format!("http://{}/blob", storage.host)).await;
    assert!(matches!(blob, Err(RegistryError::Unavailable { .. })), "{blob:?}");
}
