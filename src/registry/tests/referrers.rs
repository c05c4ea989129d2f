//! What refers to an image, with and without the referrers API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::Method;
use serde_json::json;

use super::memory::Memory;
use super::server::Seen;
use super::*;
use crate::domain::Descriptor;
use crate::ports::{Manifest, Referrer, Registry as _, Upload};
use crate::registry::support::Support;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const API: &str = "GET /v2/app/referrers/";

/// The image that all tests are about.
const IMAGE: &[u8] = b"image";

/// A registry in memory without the API; `answer` may act on it, and answer in its place.
async fn registry(
    answer: impl Fn(&Seen, &Memory) -> Option<Response> + Send + Sync + 'static,
) -> (Server, Arc<Memory>) {
    let memory = Arc::<Memory>::default();
    let inner = memory.clone();
    let server = Server::start(move |seen| answer(seen, &inner).unwrap_or_else(|| inner.answer(seen))).await;
    (server, memory)
}

fn is_api(seen: &Seen) -> bool {
    seen.path.contains("/referrers/")
}

fn descriptor(content: &str) -> Descriptor {
    Descriptor {
        artifact_type: Some("application/vnd.example".to_owned()),
        annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        ..Descriptor::of(TYPE, content.as_bytes())
    }
}

fn index(contents: &[&str]) -> String {
    let manifests: Vec<_> = contents.iter().map(|content| descriptor(content)).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string()
}

fn listing(contents: &[&str]) -> Response {
    with(index(contents).into_response(), "content-type", INDEX)
}

fn fallback_tag() -> String {
    format!("sha256-{}", Digest::of(IMAGE).hex())
}

fn referrer(content: &str) -> Referrer {
    let manifest = Manifest { media_type: TYPE.to_owned(), bytes: content.into() };
    let upload = Upload { blobs: vec!["bundle".into(), "{}".into()], manifest };
    Referrer { upload, descriptor: descriptor(content) }
}

async fn list(server: &Server, mode: &str) -> Result<Vec<Descriptor>, RegistryError> {
    let config = config(server, &json!({ "referrers": mode }));
    client_with(&config).referrers(&image(server, IMAGE)).await
}

/// Lists, then pushes the referrer `ours`, as the service does.
async fn push(server: &Server, mode: &str) -> Result<(), RegistryError> {
    let registries = client_with(&config(server, &json!({ "referrers": mode })));
    let image = image(server, IMAGE);
    let known = registries.referrers(&image).await?;
    registries.push_referrer(&image, referrer("ours"), &known).await
}

#[tokio::test]
async fn the_api_is_read_page_by_page() {
    let (server, _) = registry(|seen, _| {
        let next = r#"</v2/app/referrers/next?n=1>; rel="next""#;
        is_api(seen).then(|| match seen.last() {
            "next" => listing(&["two"]),
            _ => with(listing(&["one"]), "link", next),
        })
    })
    .await;
    assert_eq!(list(&server, "auto").await.unwrap(), [descriptor("one"), descriptor("two")]);
}

#[tokio::test]
async fn pages_lead_nowhere_else_and_end() {
    let elsewhere = Server::start(|_| listing(&[])).await;
    let foreign = format!(r#"<http://{}/next>; rel="next""#, elsewhere.host);
    for (next, calls) in [(foreign.as_str(), 1), ("</v2/app/referrers/next>; rel=next", 100)] {
        let next = next.to_owned();
        let (server, _) = registry(move |_, _| Some(with(listing(&["one"]), "link", &next))).await;
        let error = list(&server, "auto").await.unwrap_err();
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
        assert_eq!(server.calls().len(), calls);
    }
    assert_eq!(elsewhere.calls().len(), 0);
}

#[tokio::test]
async fn without_the_api_the_fallback_tag_counts() {
    let answers: [Answer; 5] = [
        || status(404),
        || problem(400, "UNSUPPORTED"),
        || status(405),
        || status(406),
        || with("<html>".into_response(), "content-type", "text/html"),
    ];
    for answer in answers {
        let (server, memory) = registry(move |seen, _| is_api(seen).then(answer)).await;
        assert_eq!(list(&server, "auto").await.unwrap(), []);
        memory.put(&fallback_tag(), INDEX, index(&["one"]).as_bytes());
        assert_eq!(list(&server, "auto").await.unwrap(), [descriptor("one")]);
        let error = list(&server, "api").await.unwrap_err();
        assert!(matches!(error, RegistryError::ReferrersUnsupported { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_and_leaves_only_the_fallback_tag() {
    let elsewhere = Server::start(|_| listing(&["elsewhere"])).await;
    let there = format!("http://{}/", elsewhere.host);
    for code in [302, 303, 307] {
        let there = there.clone();
        let answer = move |seen: &Seen| is_api(seen).then(|| with(status(code), "location", &there));
        let (server, memory) = registry(move |seen, _| answer(seen)).await;
        for mode in ["auto", "api"] {
            let error = list(&server, mode).await.unwrap_err();
            assert!(matches!(error, RegistryError::ReferrersUnsupported { .. }), "{error:?}");
            let error = push(&server, mode).await.unwrap_err();
            assert!(matches!(error, RegistryError::ReferrersUnsupported { .. }), "{error:?}");
        }
        memory.put(&fallback_tag(), INDEX, index(&["one"]).as_bytes());
        push(&server, "auto").await.unwrap();
        assert_eq!(list(&server, "auto").await.unwrap(), [descriptor("one"), descriptor("ours")]);
    }
    assert_eq!(elsewhere.calls().len(), 0);
}

#[tokio::test]
async fn a_redirect_within_the_registry_is_followed_but_not_for_ever() {
    let (server, _) = registry(|seen, _| {
        let api = is_api(seen).then(|| with(status(307), "location", "/v2/other/api"));
        if seen.path == "/v2/other/api" { Some(listing(&["one"])) } else { api }
    })
    .await;
    assert_eq!(list(&server, "auto").await.unwrap(), [descriptor("one")]);

    let (server, _) = registry(|seen, _| is_api(seen).then(|| with(status(307), "location", "?again"))).await;
    let error = list(&server, "auto").await.unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_registry_that_has_the_api_and_redirects_for_once_is_not_taken_for_one_without() {
    let (server, _) = registry(|seen, _| {
        is_api(seen).then(|| match seen.before {
            0 => listing(&["one"]),
            _ => with(status(302), "location", "http://127.0.0.1:1/login"),
        })
    })
    .await;
    let registries = client(&server);
    let image = image(&server, IMAGE);
    assert_eq!(registries.referrers(&image).await.unwrap(), [descriptor("one")]);
    let error = registries.referrers(&image).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn where_it_could_not_be_told_there_is_no_list() {
    for failure in [401, 403, 429, 500, 503] {
        let (server, _) = registry(move |seen, _| is_api(seen).then(|| status(failure))).await;
        assert!(list(&server, "auto").await.is_err(), "{failure}");
        let (server, _) = registry(move |seen, _| (!is_api(seen)).then(|| status(failure))).await;
        assert!(list(&server, "auto").await.is_err(), "{failure} at the fallback tag");
    }
}

#[tokio::test]
async fn too_many_requests_in_the_body_count_whatever_the_status() {
    for code in [200, 302, 400, 404, 406, 503] {
        let answer = move || with(problem(code, "TOOMANYREQUESTS"), "content-type", "application/json");
        for api in [true, false] {
            let (server, _) = registry(move |seen, _| (is_api(seen) == api).then(answer)).await;
            let error = list(&server, "auto").await.unwrap_err();
            assert!(matches!(error, RegistryError::TooManyRequests { .. }), "{code}, {api}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_empty_list_of_the_api_does_not_overwrite_the_fallback_tag() {
    let (server, memory) = registry(|seen, _| is_api(seen).then(|| listing(&[]))).await;
    memory.put(&fallback_tag(), INDEX, index(&["one"]).as_bytes());
    let registries = client(&server);
    let image = image(&server, IMAGE);
    let known = registries.referrers(&image).await.unwrap();
    assert_eq!(known, []);
    // Meanwhile it is forgotten that there is an API, and the registry does not say that it took the subject.
    tokio::time::pause();
    tokio::time::advance(Support::LIFE).await;
    tokio::time::resume();
    registries.push_referrer(&image, referrer("ours"), &known).await.unwrap();
    assert_eq!(list(&server, "tag").await.unwrap(), [descriptor("one"), descriptor("ours")]);
}

#[tokio::test]
async fn the_tag_mode_never_asks_the_api() {
    let (server, memory) = registry(|_, _| None).await;
    push(&server, "tag").await.unwrap();
    assert_eq!(server.count(API), 0);
    assert!(memory.text(&fallback_tag()).is_some());
}

#[tokio::test]
async fn whether_there_is_an_api_is_remembered_for_ten_minutes() {
    let (server, _) = registry(|_, _| None).await;
    let registries = client(&server);
    let image = image(&server, IMAGE);
    for (time, calls) in [(Duration::ZERO, 1), (Duration::ZERO, 1), (Support::LIFE, 2)] {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
        registries.referrers(&image).await.unwrap();
        assert_eq!(server.count(API), calls);
    }
}

#[tokio::test]
async fn a_repository_that_is_unknown_says_nothing_of_the_api() {
    let (server, _) = registry(|seen, _| {
        is_api(seen).then(|| if seen.before == 0 { problem(404, "NAME_UNKNOWN") } else { listing(&["one"]) })
    })
    .await;
    let registries = client(&server);
    let image = image(&server, IMAGE);
    assert_eq!(registries.referrers(&image).await.unwrap(), []);
    assert_eq!(registries.referrers(&image).await.unwrap(), [descriptor("one")]);
}

#[tokio::test]
async fn a_fallback_tag_that_is_the_image_or_no_index_is_not_touched() {
    for (media_type, content) in [(INDEX, IMAGE), (TYPE, b"{}"), (INDEX, b"{}"), ("application/json", b"{}")]
    {
        let (server, memory) = registry(|_, _| None).await;
        memory.put(&fallback_tag(), media_type, content);
        let registries = client(&server);
        let image = image(&server, IMAGE);
        let error = registries.referrers(&image).await.unwrap_err();
        assert!(matches!(error, RegistryError::ReferrersUnsupported { .. }), "{error:?}");

        let known = [descriptor("one")];
        let error = registries.push_referrer(&image, referrer("ours"), &known).await.unwrap_err();
        assert!(matches!(error, RegistryError::ReferrersUnsupported { .. }), "{error:?}");
        assert_eq!(memory.text(&fallback_tag()).unwrap().as_bytes(), content);
    }
}

#[tokio::test]
async fn a_fallback_tag_that_is_the_image_is_not_touched_even_where_the_image_is_an_index() {
    let (server, memory) = registry(|_, _| None).await;
    let content = index(&["platform"]);
    let image = image(&server, content.as_bytes());
    let tag = format!("sha256-{}", image.digest.hex());
    memory.put(&tag, INDEX, content.as_bytes());
    let registries = client(&server);
    for error in [
        registries.referrers(&image).await.unwrap_err(),
        registries.push_referrer(&image, referrer("ours"), &[descriptor("platform")]).await.unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::ReferrersUnsupported { .. }), "{error:?}");
    }
    assert_eq!(memory.text(&tag), Some(content));
}

#[tokio::test]
async fn an_index_of_which_nothing_can_be_read_is_not_empty() {
    let (server, memory) = registry(|_, _| None).await;
    let entry = json!({ "mediaType": TYPE, "size": 1, "digest": format!("sha512:{}", "0".repeat(128)) });
    memory.put(&fallback_tag(), INDEX, json!({ "manifests": [entry] }).to_string().as_bytes());
    let error = list(&server, "auto").await.unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_first_referrer_takes_nine_calls_without_the_api() {
    let (server, memory) = registry(|_, _| None).await;
    push(&server, "auto").await.unwrap();
    assert_eq!(memory.text(&fallback_tag()).unwrap().matches("sha256:").count(), 1);
    assert!(memory.has_blob(b"bundle") && memory.has_blob(b"{}"));
    assert_eq!(memory.text(&Digest::of(b"ours").to_string()).as_deref(), Some("ours"));
    // Listing takes two; then two for each blob, the manifest, the index, and reading that back.
    assert_eq!(server.calls().len(), 9);
}

#[tokio::test]
async fn referrers_of_others_stay_in_the_index() {
    let (server, memory) = registry(|seen, memory| {
        if seen.method == Method::PUT && seen.last().starts_with("sha256-") && seen.before == 0 {
            // Another writer had read the index before our write, and writes after it.
            memory.answer(seen);
            memory.put(&fallback_tag(), INDEX, index(&["one", "two"]).as_bytes());
            return Some(status(201));
        }
        None
    })
    .await;
    memory.put(&fallback_tag(), INDEX, index(&["one"]).as_bytes());
    push(&server, "auto").await.unwrap();
    let all = [descriptor("one"), descriptor("two"), descriptor("ours")];
    assert_eq!(list(&server, "auto").await.unwrap(), all);
}

#[tokio::test]
async fn a_registry_that_notes_the_subject_is_asked_whether_it_lists_it() {
    // It is behind for two listings after the push.
    let (server, memory) = registry(|seen, memory| match (&seen.method, is_api(seen)) {
        (_, true) => Some(listing(if seen.before < 3 { &[] } else { &["ours"] })),
        (&Method::PUT, _) if seen.path.contains("/manifests/") => {
            Some(with(memory.answer(seen), "oci-subject", &Digest::of(IMAGE).to_string()))
        }
        _ => None,
    })
    .await;
    push(&server, "auto").await.unwrap();
    assert_eq!(server.count(API), 4);
    assert_eq!(memory.text(&fallback_tag()), None);
}

#[tokio::test]
async fn a_referrer_that_is_never_listed_is_not_called_attached() {
    for noted in [true, false] {
        let (server, memory) = registry(move |seen, memory| match (&seen.method, is_api(seen)) {
            (_, true) => Some(listing(&["another"])),
            (&Method::PUT, _) if noted && seen.path.contains("/manifests/") => {
                Some(with(memory.answer(seen), "oci-subject", &Digest::of(IMAGE).to_string()))
            }
            _ => None,
        })
        .await;
        let error = push(&server, "auto").await.unwrap_err();
        match noted {
            true => assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}"),
            false => assert!(matches!(error, RegistryError::ReferrersUnsupported { .. }), "{error:?}"),
        }
        assert_eq!(memory.text(&fallback_tag()), None);
    }
}
