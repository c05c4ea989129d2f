//! Pushing blobs. Driven through `update_tag`, which is how they are pushed.

use std::sync::Arc;

use axum::response::Response;
use http::Method;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use serde_json::json;

use super::attach::Line;
use super::memory::Memory;
use super::server::Seen;
use super::*;
use crate::domain::Content;
use crate::ports::{Change, Manifest, ManifestUpdate, Registry as _, Upload};

/// A registry in memory whose uploads `answer` may answer in its place.
async fn uploads(
    answer: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static,
) -> (Server, Arc<Memory>) {
    let memory = Arc::<Memory>::default();
    let inner = memory.clone();
    let server = Server::start(move |seen| answer(seen).unwrap_or_else(|| inner.answer(seen))).await;
    (server, memory)
}

async fn push(server: &Server, registries: &OciRegistries, line: &str) -> Result<Digest, RegistryError> {
    registries.update_tag(&repository(server, "app"), line, None, &Line(line.to_owned())).await
}

/// The calls of one push, for short.
fn started_with_body(server: &Server) -> Vec<bool> {
    let posts = server.seen().into_iter().filter(|seen| seen.method == Method::POST);
    posts.map(|seen| !seen.body.is_empty()).collect()
}

#[tokio::test]
async fn a_registry_that_takes_a_blob_at_once_gets_it_so() {
    let (server, _) = uploads(|seen| (seen.method == Method::POST).then(|| status(201))).await;
    let registries = client(&server);
    push(&server, &registries, "one").await.unwrap();
    push(&server, &registries, "two").await.unwrap();
    assert_eq!(started_with_body(&server), [true, true]);
    assert_eq!(server.count("PUT /v2/app/blobs"), 0);
}

#[tokio::test]
async fn a_registry_that_does_not_is_asked_once() {
    let (server, memory) = uploads(|_| None).await;
    let registries = client(&server);
    push(&server, &registries, "one").await.unwrap();
    push(&server, &registries, "two").await.unwrap();
    assert_eq!(started_with_body(&server), [true, false]);
    assert_eq!(server.count("PUT /v2/app/blobs"), 2);
    assert!(memory.has_blob(b"one") && memory.has_blob(b"two"));
}

#[tokio::test]
async fn a_registry_that_refuses_it_is_asked_in_two_steps() {
    let refuse = |seen: &Seen| {
        (seen.method == Method::POST && !seen.query.is_empty()).then(|| problem(400, "UNSUPPORTED"))
    };
    let (server, memory) = uploads(refuse).await;
    let registries = client(&server);
    push(&server, &registries, "one").await.unwrap();
    push(&server, &registries, "two").await.unwrap();
    assert_eq!(started_with_body(&server), [true, false, false]);
    assert!(memory.has_blob(b"two"));
}

#[tokio::test]
async fn a_long_blob_is_not_sent_for_trying() {
    let (server, memory) = uploads(|_| None).await;
    let long = "x".repeat(100_000);
    let update = Line(long.clone());
    client(&server).update_tag(&repository(&server, "app"), "1", None, &update).await.unwrap();
    assert_eq!(started_with_body(&server), [false]);
    assert!(memory.has_blob(long.as_bytes()));
}

#[tokio::test]
async fn a_blob_in_pieces_arrives_whole_and_announced_at_the_first_try_and_the_next() {
    struct Pieces(Content);
    impl ManifestUpdate for Pieces {
        fn apply(&self, current: Option<&Manifest>) -> Result<Change, String> {
            let manifest = Manifest { media_type: "text/plain".to_owned(), bytes: "pieces".into() };
            let upload = Upload { blobs: vec![self.0.clone()], manifest };
            Ok(if current.is_none() { Change::Write(upload) } else { Change::None })
        }
    }
    let mut blob = Content::default();
    for piece in 0..5_u8 {
        blob.push(vec![piece; 1 << 20]);
    }
    let fail = |seen: &Seen| (seen.path.ends_with("/session") && seen.before == 0).then(|| status(500));
    let (server, memory) = uploads(fail).await;
    let update = Pieces(blob.clone());
    client(&server).update_tag(&repository(&server, "app"), "1", None, &update).await.unwrap();
    assert!(memory.has_blob(&blob.to_bytes()));
    let puts: Vec<_> = server.seen().into_iter().filter(|seen| seen.path.ends_with("/session")).collect();
    assert_eq!(puts.len(), 2);
    assert!(puts.iter().all(|put| put.headers[CONTENT_LENGTH] == blob.len().to_string()));
    assert!(puts.iter().all(|put| !put.headers.contains_key(TRANSFER_ENCODING)));
}

#[tokio::test]
async fn an_upload_that_fails_begins_again() {
    let fail = |seen: &Seen| (seen.path.ends_with("/session") && seen.before == 0).then(|| status(500));
    let (server, memory) = uploads(fail).await;
    push(&server, &client(&server), "one").await.unwrap();
    assert_eq!(server.count("POST "), 2);
    assert!(memory.has_blob(b"one"));
}

#[tokio::test]
async fn a_session_on_another_host_gets_no_credentials() {
    let (storage, memory) = uploads(|_| None).await;
    let location = format!("http://{}/v2/app/blobs/uploads/session?state=a%2Fb", storage.host);
    let inner = memory.clone();
    let server = Server::start(move |seen| match (&seen.method, seen.authorization()) {
        (_, None) => with(status(401), "www-authenticate", r#"Basic realm="registry""#),
        (&Method::POST, _) => with(status(202), "location", &location),
        _ => inner.answer(seen),
    })
    .await;
    let config = config(&server, &json!({ "username": "signet", "password": "hunter2" }));
    push(&server, &client_with(&config), "one").await.unwrap();
    assert!(memory.has_blob(b"one"));
    assert!(storage.seen().iter().all(|seen| seen.authorization().is_none()));
}

#[tokio::test]
async fn a_refusal_is_told_apart_from_a_broken_registry() {
    let refusals: [(Answer, Expected); 5] = [
        (|| problem(403, "DENIED"), |error| matches!(error, RegistryError::Denied { .. })),
        (|| problem(405, "UNSUPPORTED"), |error| matches!(error, RegistryError::Denied { .. })),
        (|| status(503), |error| matches!(error, RegistryError::Unavailable { .. })),
        (|| status(202), |error| matches!(error, RegistryError::Protocol { .. })),
        (|| problem(400, "SIZE_INVALID"), |error| matches!(error, RegistryError::Protocol { .. })),
    ];
    for (answer, expected) in refusals {
        let (server, memory) = uploads(move |seen| (seen.method == Method::POST).then(answer)).await;
        let error = push(&server, &client(&server), "one").await.unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert_eq!(memory.text("one"), None);
    }
}
