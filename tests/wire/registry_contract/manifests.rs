//! Manifests by tag and by digest.

use reqwest::Method;
use serde_json::json;

use super::{INDEX, MANIFEST, descriptor, digest, expected, fault, header, repositories, send};

#[tokio::test]
async fn a_manifest_is_read_byte_for_byte_under_its_tag_and_its_digest() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let mut manifest = repository.image(json!({})).await;
        manifest.splice(1..1, *b"\n   "); // Formatted as no library would.
        let digest = digest(&manifest);
        let pushed = repository.put_manifest("v1", MANIFEST, manifest.clone()).await;
        assert_eq!(pushed.status(), 201, "{name}");
        assert_eq!(header(&pushed, "docker-content-digest").as_ref(), Some(&digest), "{name}");
        let located = repository.client.get(repository.location(&pushed)).header("accept", MANIFEST);
        assert_eq!(send(located).await.status(), 200, "{name}");

        for reference in ["v1", digest.as_str()] {
            for method in [Method::GET, Method::HEAD] {
                let read = repository.call(method.clone(), &format!("manifests/{reference}"));
                let answer = send(read.header("accept", MANIFEST)).await;
                assert_eq!(answer.status(), 200, "{name}: {method} {reference}");
                assert_eq!(header(&answer, "content-type").as_deref(), Some(MANIFEST), "{name}");
                assert_eq!(header(&answer, "docker-content-digest").as_ref(), Some(&digest), "{name}");
                assert_eq!(header(&answer, "content-length"), Some(manifest.len().to_string()), "{name}");
                let body = answer.bytes().await.expect("the body arrives");
                assert!(method == Method::HEAD || body == manifest, "{name}: {reference}");
            }
        }
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_there_is_told_as_such() {
    let missing = digest(b"missing");
    for repository in repositories() {
        let name = &repository.registry.name;
        repository.push_image("v1").await;
        for reference in ["v2", missing.as_str()] {
            let path = format!("manifests/{reference}");
            let answer = fault(repository.get(&path).await).await;
            assert_eq!(answer, expected(404, "MANIFEST_UNKNOWN"), "{name}: {reference}");
            assert_eq!(send(repository.call(Method::HEAD, &path)).await.status(), 404, "{name}: {reference}");
        }
    }
}

#[tokio::test]
async fn a_manifest_whose_blobs_are_missing_is_refused() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let layers = json!([descriptor("application/vnd.oci.image.layer.v1.tar", b"never pushed")]);
        let manifest = repository.image(json!({"layers": layers})).await;
        let answer = fault(repository.put_manifest("v1", MANIFEST, manifest).await).await;
        let (status, code) = repository.quirks.missing_blob;
        assert_eq!(answer, expected(status, code), "{name}");
        assert_eq!(repository.get("manifests/v1").await.status(), 404, "{name}");
    }
}

#[tokio::test]
async fn a_manifest_under_another_digest_is_refused() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let manifest = repository.image(json!({})).await;
        let other = digest(b"other");
        let answer = fault(repository.put_manifest(&other, MANIFEST, manifest).await).await;
        assert_eq!(answer, expected(400, "DIGEST_INVALID"), "{name}");
        assert_eq!(repository.get(&format!("manifests/{other}")).await.status(), 404, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    for repository in repositories() {
        let name = &repository.registry.name;
        for content in ["no JSON", "{}", "[]"] {
            let answer = fault(repository.put_manifest("v1", MANIFEST, content).await).await;
            let refusal = match repository.quirks.fails_on_manifests.contains(&content) {
                true => expected(500, "UNKNOWN"),
                false => expected(400, "MANIFEST_INVALID"),
            };
            assert_eq!(answer, refusal, "{name}: {content}");
        }
        assert_eq!(repository.get("manifests/v1").await.status(), 404, "{name}");
    }
}

#[tokio::test]
async fn a_manifest_of_more_than_4_mib_is_refused() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let padding = "x".repeat(4 * 1024 * 1024);
        let manifest = repository.image(json!({"annotations": {"padding": padding}})).await;
        let answer = repository.put_manifest("v1", MANIFEST, manifest).await;
        assert_eq!(answer.status(), repository.quirks.oversized_manifest, "{name}");
        let is_there = repository.get("manifests/v1").await.status() == 200;
        assert_eq!(is_there, answer.status() == 201, "{name}");
    }
}

#[tokio::test]
async fn an_index_names_manifests_of_its_repository() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let child = repository.push_image("child").await;
        let index =
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST, &child)]});
        let pushed = repository.put_manifest("all", INDEX, index.to_string()).await;
        assert_eq!(pushed.status(), 201, "{name}");
        let read = repository.get("manifests/all").await;
        assert_eq!(header(&read, "content-type").as_deref(), Some(INDEX), "{name}");
    }
}

#[tokio::test]
async fn a_tag_moves_and_the_old_manifest_stays() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let old = repository.push_image("v1").await;
        let new = repository.push_image("v1").await;
        let read = async |reference: &str| {
            let answer = repository.get(&format!("manifests/{reference}")).await;
            answer.bytes().await.expect("the body arrives")
        };
        assert_eq!(read("v1").await, new, "{name}");
        assert_eq!(read(&digest(&old)).await, old, "{name}");
    }
}

#[tokio::test]
async fn a_deleted_manifest_is_gone_under_its_tag_too() {
    for repository in repositories() {
        let name = &repository.registry.name;
        let manifest = repository.push_image("v1").await;
        let path = format!("manifests/{}", digest(&manifest));
        assert_eq!(send(repository.call(Method::DELETE, &path)).await.status(), 202, "{name}");
        for path in [path.as_str(), "manifests/v1"] {
            assert_eq!(
                fault(repository.get(path).await).await,
                expected(404, "MANIFEST_UNKNOWN"),
                "{name}: {path}"
            );
        }
        let again = fault(send(repository.call(Method::DELETE, &path)).await).await;
        assert_eq!(again, expected(404, "MANIFEST_UNKNOWN"), "{name}");
    }
}
