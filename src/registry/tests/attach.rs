//! Changing a tag beside others who do the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::{IntoResponse as _, Response};
use http::Method;
use serde_json::json;

use super::memory::Memory;
use super::server::Seen;
use super::*;
use crate::ports::{Change, Manifest, ManifestUpdate, Registry as _, RegistryError, Upload};

const TYPE: &str = "text/plain";

/// Makes a line of text part of a manifest that consists of lines. The line is a blob, too.
pub(super) struct Line(pub(super) String);

impl ManifestUpdate for Line {
    fn apply(&self, current: Option<&Manifest>) -> Result<Change, String> {
        let mut lines: Vec<_> = match current {
            Some(manifest) if manifest.media_type != TYPE => return Err("it has no lines".to_owned()),
            Some(manifest) => std::str::from_utf8(&manifest.bytes).unwrap().lines().collect(),
            None => Vec::new(),
        };
        if lines.contains(&self.0.as_str()) {
            return Ok(Change::None);
        }
        lines.push(&self.0);
        let manifest = Manifest { media_type: TYPE.to_owned(), bytes: lines.join("\n").into() };
        Ok(Change::Write(Upload { blobs: vec![self.0.clone().into()], manifest }))
    }
}

/// A registry in memory; `answer` may act on it, and answer in its place.
async fn registry(
    answer: impl Fn(&Seen, &Memory) -> Option<Response> + Send + Sync + 'static,
) -> (Server, Arc<Memory>) {
    let memory = Arc::<Memory>::default();
    let inner = memory.clone();
    let server = Server::start(move |seen| answer(seen, &inner).unwrap_or_else(|| inner.answer(seen))).await;
    (server, memory)
}

/// Adds the line `ours`. `known` is what the caller saw at the tag before.
async fn add(server: &Server, known: Option<&str>) -> Result<Digest, RegistryError> {
    let known = known.map(|text| Manifest { media_type: TYPE.to_owned(), bytes: text.into() });
    client(server).update_tag(&repository(server, "app"), "tag", known, &Line("ours".to_owned())).await
}

const PUT: &str = "PUT /v2/app/manifests/tag";
const GET: &str = "GET /v2/app/manifests/tag";

#[tokio::test]
async fn an_absent_tag_takes_the_fewest_calls() {
    let (server, memory) = registry(|_, _| None).await;
    let digest = add(&server, None).await.unwrap();
    assert_eq!(memory.text("tag").as_deref(), Some("ours"));
    assert_eq!(digest, Digest::of(b"ours"));
    let calls = ["POST /v2/app/blobs/uploads/", "PUT /v2/app/blobs/uploads/session", PUT, GET];
    assert_eq!(server.calls(), calls);
}

#[tokio::test]
async fn a_tag_is_read_again_before_it_is_written() {
    let (server, memory) = registry(|_, _| None).await;
    memory.put("tag", TYPE, b"a\nb");
    add(&server, Some("a")).await.unwrap();
    assert_eq!(memory.text("tag").as_deref(), Some("a\nb\nours"));
}

#[tokio::test]
async fn what_is_there_is_not_written_again() {
    let (server, memory) = registry(|_, _| None).await;
    memory.put("tag", TYPE, b"a\nours");
    assert_eq!(add(&server, Some("a")).await.unwrap(), Digest::of(b"a\nours"));
    assert_eq!(server.calls(), [GET]);
}

#[tokio::test]
async fn a_write_that_was_overwritten_is_made_again_on_top() {
    let (server, memory) = registry(|seen, memory| {
        if seen.method == Method::GET && seen.before == 0 {
            memory.put("tag", TYPE, b"theirs");
        }
        None
    })
    .await;
    add(&server, None).await.unwrap();
    assert_eq!(memory.text("tag").as_deref(), Some("theirs\nours"));
    // The blob is there from the first round.
    assert_eq!((server.count(PUT), server.count(GET), server.count("POST ")), (2, 2, 1));
}

#[tokio::test]
async fn nobody_is_overwritten_forever() {
    let count = AtomicUsize::new(0);
    let (server, _) = registry(move |seen, memory| {
        if seen.method == Method::GET {
            let text = format!("theirs {}", count.fetch_add(1, Ordering::SeqCst));
            memory.put("tag", TYPE, text.as_bytes());
        }
        None
    })
    .await;
    let error = add(&server, None).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Unavailable { reason, retry_after: Some(_), .. }
            if reason.contains("other writers keep overwriting")),
        "{error:?}"
    );
    assert_eq!(server.count(PUT), 6);
}

#[tokio::test]
async fn nothing_is_written_over_what_could_not_be_read() {
    for failure in [403, 429, 503] {
        let (server, memory) =
            registry(move |seen, _| (seen.method == Method::GET).then(|| status(failure))).await;
        memory.put("tag", TYPE, b"theirs");
        assert!(add(&server, Some("theirs")).await.is_err());
        assert_eq!(server.count(PUT), 0);
    }
}

#[tokio::test]
async fn after_a_write_that_failed_the_tag_is_read_first() {
    let (server, memory) = registry(|seen, memory| {
        let fails = seen.method == Method::PUT && seen.last() == "tag" && seen.before == 0;
        fails.then(|| {
            // The write arrived, its answer did not; and somebody else was quick.
            memory.put("tag", TYPE, b"ours\ntheirs");
            status(502)
        })
    })
    .await;
    add(&server, None).await.unwrap();
    assert_eq!(memory.text("tag").as_deref(), Some("ours\ntheirs"));
    assert_eq!((server.count(PUT), server.count(GET)), (1, 1));
}

#[tokio::test]
async fn a_write_that_keeps_failing_is_tried_three_times() {
    let (server, memory) =
        registry(|seen, _| (seen.method == Method::PUT && seen.last() == "tag").then(|| status(502))).await;
    let error = add(&server, None).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Unavailable { reason, .. } if reason.contains("502")),
        "{error:?}"
    );
    assert_eq!((server.count(PUT), memory.text("tag")), (3, None));
}

#[tokio::test]
async fn a_registry_that_is_behind_does_not_lose_what_was_there() {
    // Hides the tag after the write: `hidden` times, or for good.
    for (hidden, writes) in [(2, Ok(())), (usize::MAX, Err(()))] {
        let (server, memory) = registry(move |seen, _| {
            (seen.method == Method::GET && (1..=hidden).contains(&seen.before)).then(|| status(404))
        })
        .await;
        memory.put("tag", TYPE, b"theirs");
        assert_eq!(add(&server, Some("theirs")).await.map(|_| ()).map_err(|_| ()), writes);
        assert_eq!(memory.text("tag").as_deref(), Some("theirs\nours"));
        assert_eq!(server.count(PUT), 1);
    }
}

#[tokio::test]
async fn something_else_at_the_tag_stays() {
    let (server, memory) = registry(|_, _| None).await;
    memory.put("tag", "application/json", b"{}");
    let error = add(&server, Some("a")).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Occupied { reference, .. } if reference == "tag"), "{error:?}");
    assert_eq!(server.calls(), [GET]);
}

/// What one client does after the other, where the registry is behind in between.
#[tokio::test]
async fn what_a_tag_named_before_a_write_is_not_taken_for_the_present() {
    for hidden in [1, 3] {
        let (server, memory) = registry(move |seen, memory| {
            // The first read is before the write; somebody else was quick after it, and that shows late.
            let put = seen.method == Method::PUT && seen.last() == "tag" && seen.before == 0;
            if put {
                memory.answer(seen);
                memory.put("tag", TYPE, b"theirs\nours\ntheirs too");
                return Some(status(201));
            }
            let behind = seen.method == Method::GET && (1..=hidden).contains(&seen.before);
            behind.then(|| with(b"theirs".into_response(), "content-type", TYPE))
        })
        .await;
        memory.put("tag", TYPE, b"theirs");
        add(&server, Some("theirs")).await.unwrap();
        assert_eq!(memory.text("tag").as_deref(), Some("theirs\nours\ntheirs too"));
        assert_eq!(server.count(PUT), 1);
    }
}

#[tokio::test]
async fn the_next_reader_does_not_believe_a_registry_that_is_behind() {
    let (server, memory) = registry(|seen, _| {
        // Read back once; after that the registry shows for two reads what was there before.
        let behind = seen.method == Method::GET && (1..=2).contains(&seen.before);
        behind.then(|| problem(404, "MANIFEST_UNKNOWN"))
    })
    .await;
    let (registries, app) = (client(&server), repository(&server, "app"));
    let add = async |line: &str| {
        let known = registries.tagged(&app, "tag").await.unwrap();
        registries.update_tag(&app, "tag", known, &Line(line.to_owned())).await.unwrap();
    };
    registries.update_tag(&app, "tag", None, &Line("first".to_owned())).await.unwrap();
    add("second").await;
    assert_eq!(memory.text("tag").as_deref(), Some("first\nsecond"));
}

#[tokio::test]
async fn who_puts_a_tag_back_for_good_is_believed_in_the_end() {
    let (server, memory) = registry(|seen, memory| {
        let put = seen.method == Method::PUT && seen.last() == "tag" && seen.before == 0;
        put.then(|| {
            memory.answer(seen);
            memory.put("tag", TYPE, b"theirs");
            status(201)
        })
    })
    .await;
    memory.put("tag", TYPE, b"theirs");
    add(&server, Some("theirs")).await.unwrap();
    assert_eq!(memory.text("tag").as_deref(), Some("theirs\nours"));
    assert_eq!(server.count(PUT), 2);
}

#[tokio::test]
async fn what_a_registry_says_to_a_write_is_told_apart() {
    let error = |status: u16, code: &str, message: &str, detail: &str| {
        let error = json!({ "code": code, "message": message, "detail": detail });
        (StatusCode::from_u16(status).unwrap(), json!({ "errors": [error] }).to_string())
    };
    let protected: Expected =
        |error| matches!(error, RegistryError::TagProtected { tag, .. } if tag == "tag");
    let denied: Expected = |error| matches!(error, RegistryError::Denied { .. });
    let refused: Expected = |error| matches!(error, RegistryError::ManifestRefused { .. });
    let throttled: Expected = |error| matches!(error, RegistryError::TooManyRequests { .. });
    for (answer, expected) in [
        (error(412, "PRECONDITION", "'app:tag' configured as immutable", ""), protected),
        (error(400, "TAG_INVALID", "it can not be overwritten", ""), protected),
        (error(409, "", "", ""), protected),
        (error(405, "UNSUPPORTED", "", ""), protected),
        (error(403, "DENIED", "access denied", "tag \"tag\" is protected"), protected),
        (error(400, "MANIFEST_INVALID", "the tag is Immutable", ""), protected),
        (error(403, "DENIED", "requested access is denied", ""), denied),
        (error(404, "DENIED", "", ""), denied),
        (error(415, "", "", ""), refused),
        (error(400, "MANIFEST_INVALID", "manifest invalid", ""), refused),
        (error(409, "TOOMANYREQUESTS", "", ""), throttled),
        (error(403, "toomanyrequests", "the tag is immutable", ""), throttled),
    ] {
        let said = answer.clone();
        let (server, _) = registry(move |seen, _| {
            (seen.method == Method::PUT && seen.last() == "tag").then(|| said.clone().into_response())
        })
        .await;
        let error = add(&server, None).await.unwrap_err();
        assert!(expected(&error), "{answer:?}: {error:?}");
    }
}
