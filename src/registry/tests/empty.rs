//! The blob that referrers share, and what registries make of it.

use std::sync::Arc;

use axum::response::Response;
use futures::future::try_join_all;
use http::Method;
use serde_json::json;

use super::memory::Memory;
use super::server::Seen;
use super::*;
use crate::domain::Descriptor;
use crate::ports::{Manifest, Referrer, Registry as _, Upload};
use crate::registry::empty::EMPTY;

const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry in memory; `answer` may answer in its place.
async fn registry(answer: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static) -> Server {
    let memory = Arc::<Memory>::default();
    Server::start(move |seen| answer(seen).unwrap_or_else(|| memory.answer(seen))).await
}

/// Pushes a referrer of an image of the same name.
async fn push(registries: &OciRegistries, server: &Server, name: &str) -> Result<(), RegistryError> {
    let manifest = Manifest { media_type: TYPE.to_owned(), bytes: name.into() };
    let descriptor = Descriptor::of(TYPE, name.as_bytes());
    let upload = Upload { blobs: vec![name.to_owned().into(), EMPTY.into()], manifest };
    let image = image(server, format!("image {name}").as_bytes());
    registries.push_referrer(&image, Referrer { upload, descriptor }, &[]).await
}

/// How often the empty blob arrived whole.
fn arrivals(server: &Server) -> usize {
    server.seen().iter().filter(|seen| seen.method == Method::PUT && seen.body == EMPTY).count()
}

fn is_manifest(seen: &Seen, name: &str) -> bool {
    seen.method == Method::PUT && seen.path.ends_with(&Digest::of(name.as_bytes()).to_string())
}

#[tokio::test]
async fn all_who_come_at_once_share_one_empty_blob() {
    let server = registry(|_| None).await;
    let registries = client_with(&config(&server, &json!({ "referrers": "tag" })));
    let names: Vec<_> = (0..16).map(|number| format!("referrer {number}")).collect();
    try_join_all(names.iter().map(|name| push(&registries, &server, name))).await.unwrap();
    push(&registries, &server, "later").await.unwrap();
    assert_eq!(arrivals(&server), 1);
}

#[tokio::test]
async fn an_empty_blob_that_the_registry_has_thrown_away_is_pushed_again() {
    let server = registry(|seen| {
        (is_manifest(seen, "second") && seen.before == 0).then(|| problem(400, "MANIFEST_BLOB_UNKNOWN"))
    })
    .await;
    let registries = client_with(&config(&server, &json!({ "referrers": "tag" })));
    push(&registries, &server, "first").await.unwrap();
    push(&registries, &server, "second").await.unwrap();
    assert_eq!(arrivals(&server), 2);
}

#[tokio::test]
async fn a_right_digest_that_is_called_wrong_is_sent_again() {
    let server = registry(|seen| {
        (is_manifest(seen, "first") && seen.before == 0).then(|| problem(400, "DIGEST_INVALID"))
    })
    .await;
    let registries = client_with(&config(&server, &json!({ "referrers": "tag" })));
    push(&registries, &server, "first").await.unwrap();
    assert_eq!(server.seen().iter().filter(|seen| is_manifest(seen, "first")).count(), 2);
}
