//! What registries do wrong while we read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use http::Method;
use serde_json::json;

use super::*;
use crate::ports::Registry as _;

const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest(content: &'static [u8]) -> Response {
    with(content.into_response(), "content-type", &format!("{TYPE}; charset=utf-8"))
}

/// Answers `first` to the first two requests of a kind, then the manifest `image`.
async fn failing_twice(first: Answer) -> Server {
    Server::start(move |seen| if seen.before < 2 { first() } else { manifest(b"image") }).await
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for first in [
        || with(status(429), "retry-after", "0"),
        || status(429),
        || status(503),
        || problem(400, "TOOMANYREQUESTS"),
        || cut(b"im"),
    ] {
        let server = failing_twice(first).await;
        let found = client(&server).tagged(&repository(&server, "app"), "1").await.unwrap().unwrap();
        assert_eq!((found.media_type.as_str(), &found.bytes[..]), (TYPE, &b"image"[..]));
        assert_eq!(server.calls().len(), 3);
    }
}

#[tokio::test]
async fn a_long_pause_is_the_callers_to_wait() {
    let server = Server::start(|_| with(status(429), "retry-after", "60")).await;
    let error = client(&server).resolve(&image(&server, b"image")).await.unwrap_err();
    let asked = Some(Duration::from_secs(60));
    assert!(matches!(error, RegistryError::TooManyRequests { retry_after, .. } if retry_after == asked));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn no_failure_is_taken_for_absence() {
    let answers: [(Answer, usize, Expected); 7] = [
        (|| status(401), 1, |error| matches!(error, RegistryError::Protocol { .. })),
        (|| problem(403, "DENIED"), 1, |error| matches!(error, RegistryError::Denied { .. })),
        (|| status(429), 3, |error| matches!(error, RegistryError::TooManyRequests { .. })),
        (|| problem(400, "TOOMANYREQUESTS"), 3, |e| matches!(e, RegistryError::TooManyRequests { .. })),
        (|| status(500), 3, |error| matches!(error, RegistryError::Unavailable { .. })),
        (|| status(503), 3, |error| matches!(error, RegistryError::Unavailable { .. })),
        (|| status(418), 1, |error| matches!(error, RegistryError::Protocol { .. })),
    ];
    for (answer, attempts, expected) in answers {
        let server = Server::start(move |_| answer()).await;
        let registries = client(&server);
        let image = image(&server, b"image");
        for (error, method) in [
            (registries.tagged(&image.repository, "1").await.unwrap_err(), "GET /v2/app/manifests/1"),
            (
                registries.manifest(&image.repository, image.digest).await.unwrap_err(),
                "GET /v2/app/manifests/sha",
            ),
            (registries.blob(&image.repository, image.digest, 9).await.unwrap_err(), "GET /v2/app/blobs"),
            (registries.referrers(&image).await.unwrap_err(), "GET /v2/app/referrers"),
        ] {
            assert!(expected(&error), "{method}: {error:?}");
            assert_eq!(server.count(method), attempts, "{method}: {error:?}");
        }
        // The body of an answer to HEAD does not exist, so only the status speaks.
        assert!(registries.resolve(&image).await.is_err());
    }
}

#[tokio::test]
async fn absence_is_what_the_registry_says_with_404() {
    let server = Server::start(|_| status(404)).await;
    let registries = client(&server);
    let image = image(&server, b"image");
    assert_eq!(registries.resolve(&image).await.unwrap(), None);
    assert_eq!(registries.tagged(&image.repository, "1").await.unwrap(), None);
    assert_eq!(registries.manifest(&image.repository, image.digest).await.unwrap(), None);
    assert_eq!(registries.blob(&image.repository, image.digest, 9).await.unwrap(), None);
    assert_eq!(registries.referrers(&image).await.unwrap(), []);
}

#[tokio::test]
async fn a_body_that_is_cut_is_no_manifest() {
    let server = Server::start(|_| cut(b"im")).await;
    let error = client(&server).tagged(&repository(&server, "app"), "1").await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_manifest_beyond_4_mib_is_not_read() {
    let announced = |seen: &server::Seen| match seen.method {
        Method::HEAD => with(manifest(b""), "content-length", "5242880"),
        _ => with(endless(), "content-type", TYPE),
    };
    let server = Server::start(announced).await;
    let registries = client(&server);
    let image = image(&server, b"image");
    for error in [
        registries.resolve(&image).await.unwrap_err(),
        registries.tagged(&image.repository, "1").await.unwrap_err(),
        registries.blob(&image.repository, image.digest, 1000).await.unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::TooLarge { .. }), "{error:?}");
    }
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn content_of_another_digest_is_refused() {
    let server = Server::start(|_| manifest(b"something else")).await;
    let registries = client(&server);
    let image = image(&server, b"image");
    for error in [
        registries.manifest(&image.repository, image.digest).await.unwrap_err(),
        registries.blob(&image.repository, image.digest, 1000).await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, RegistryError::Protocol { reason, .. } if reason.contains("digest")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_digest_that_the_registry_states_must_be_that_of_the_content() {
    let other = Digest::of(b"other").to_string();
    let server = Server::start(move |_| with(manifest(b"image"), "docker-content-digest", &other)).await;
    let registries = client(&server);
    let image = image(&server, b"image");
    for error in [
        registries.resolve(&image).await.unwrap_err(),
        registries.tagged(&image.repository, "1").await.unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_image_is_resolved_by_head_and_by_get_where_head_says_too_little() {
    for (head, calls) in [
        ((|| manifest(b"image")) as Answer, 1),
        (|| with(Body::empty().into_response(), "content-length", "5"), 2),
        (|| with(status(200), "content-type", TYPE), 2),
        (|| status(405), 2),
    ] {
        let answer =
            move |seen: &server::Seen| if seen.method == Method::HEAD { head() } else { manifest(b"image") };
        let server = Server::start(answer).await;
        let found = client(&server).resolve(&image(&server, b"image")).await.unwrap().unwrap();
        assert_eq!((found.media_type.as_str(), found.size, found.digest), (TYPE, 5, Digest::of(b"image")));
        assert_eq!(server.calls().len(), calls);
    }
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_not_asked_twice() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let mut config: RegistryConfig =
        serde_json::from_value(json!({ "host": host, "plain_http": true })).unwrap();
    config.request_timeout = Duration::from_millis(20);
    let error = client_with(&config).tagged(&format!("{host}/app").parse().unwrap(), "1").await.unwrap_err();
    assert!(matches!(error, RegistryError::Timeout { after, .. } if after == config.request_timeout));
}

#[tokio::test]
async fn a_registry_that_is_down_is_unavailable() {
    let server = Server::start(|_| status(200)).await;
    let (config, repository) = (config(&server, &json!({})), repository(&server, "app"));
    drop(server);
    tokio::task::yield_now().await;
    let error = client_with(&config).tagged(&repository, "1").await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn every_call_is_counted() {
    let metrics = Arc::new(Metrics::new());
    let server = failing_twice(|| status(503)).await;
    let registries = client_counting(&config(&server, &json!({})), metrics.clone());
    registries.resolve(&image(&server, b"image")).await.unwrap();
    let text = metrics.encode();
    for (outcome, count) in [("503", 2), ("200", 1)] {
        let line = format!(r#"operation="head_manifest",outcome="{outcome}"}} {count}"#);
        assert!(text.contains(&line), "{line} in {text}");
    }
}

#[tokio::test]
async fn only_configured_registries_are_reached() {
    let server = Server::start(|_| status(200)).await;
    let registries = client(&server);
    let elsewhere = "registry.example.com/app".parse().unwrap();
    let error = registries.tagged(&elsewhere, "1").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotConfigured(host) if host == "registry.example.com"));
    assert!(registries.settings("registry.example.com").is_none());
    assert_eq!(registries.settings(&server.host).unwrap().max_signatures, 100);
}

/// Announces more than it sends.
fn cut(content: &'static [u8]) -> Response {
    let end = Err(std::io::Error::other("cut"));
    let body = Body::from_stream(futures::stream::iter([Ok(Bytes::from_static(content)), end]));
    with(with(body.into_response(), "content-length", "1000"), "content-type", TYPE)
}

/// Announces no length, and goes on for 5 MiB.
fn endless() -> Response {
    let chunk = Bytes::from_static(&[b' '; 64 * 1024]);
    let chunks = std::iter::repeat_n(chunk, 80).map(Ok::<_, std::io::Error>);
    Body::from_stream(futures::stream::iter(chunks)).into_response()
}
