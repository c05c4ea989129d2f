//! The referrers API, and what registries without it say.

use reqwest::Method;
use serde_json::{Value, json};

use super::{INDEX, MANIFEST, Repository, descriptor, digest, header, repositories, send};

/// Pushes a manifest that refers to `subject`, by digest, and gives the descriptor that the API should list.
async fn refer(repository: &Repository, subject: &[u8], artifact_type: Option<&str>) -> Value {
    let annotations = json!({"org.example.kind": "signature"});
    let mut more = json!({"subject": descriptor(MANIFEST, subject), "annotations": annotations});
    if let Some(artifact_type) = artifact_type {
        more["artifactType"] = json!(artifact_type);
    }
    let manifest = repository.image(more).await;
    let pushed = repository.put_manifest(&digest(&manifest), MANIFEST, manifest.clone()).await;
    assert_eq!(pushed.status(), 201, "{}", repository.registry.name);
    let told = header(&pushed, "oci-subject");
    assert_eq!(
        told,
        repository.quirks.referrers_api.then(|| digest(subject)),
        "{}",
        repository.registry.name
    );
    let mut listed = descriptor(MANIFEST, &manifest);
    listed["artifactType"] = json!(artifact_type.unwrap_or("application/vnd.oci.image.config.v1+json"));
    listed["annotations"] = annotations;
    listed
}

/// What the API lists, by digest.
async fn list(repository: &Repository, subject: &[u8], query: &str) -> Vec<Value> {
    let answer = repository.get(&format!("referrers/{}{query}", digest(subject))).await;
    assert_eq!(answer.status(), 200, "{}", repository.registry.name);
    assert_eq!(header(&answer, "content-type").as_deref(), Some(INDEX));
    let mut index: Value = answer.json().await.expect("the answer is an index");
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
    // ociregistry writes an empty list as null.
    let found: Option<Vec<Value>> = serde_json::from_value(index["manifests"].take()).expect("it has a list");
    let mut found = found.unwrap_or_default();
    found.sort_by_key(|descriptor| descriptor["digest"].to_string());
    found
}

fn sorted(mut descriptors: Vec<Value>) -> Vec<Value> {
    descriptors.sort_by_key(|descriptor| descriptor["digest"].to_string());
    descriptors
}

fn with_api() -> impl Iterator<Item = Repository> {
    repositories().into_iter().filter(|repository| repository.quirks.referrers_api)
}

#[tokio::test]
async fn referrers_are_listed_with_type_and_annotations() {
    for repository in with_api() {
        let name = &repository.registry.name;
        let subject = repository.push_image("v1").await;
        assert_eq!(list(&repository, &subject, "").await, Vec::<Value>::new(), "{name}");
        let bundle =
            refer(&repository, &subject, Some("application/vnd.dev.sigstore.bundle.v0.3+json")).await;
        let plain = refer(&repository, &subject, None).await;
        assert_eq!(list(&repository, &subject, "").await, sorted(vec![bundle, plain]), "{name}");
    }
}

#[tokio::test]
async fn referrers_of_one_type_can_be_asked_for() {
    for repository in with_api() {
        let name = &repository.registry.name;
        let subject = repository.push_image("v1").await;
        let one = refer(&repository, &subject, Some("application/vnd.example.one+json")).await;
        refer(&repository, &subject, Some("application/vnd.example.two+json")).await;
        let query = "?artifactType=application%2Fvnd.example.one%2Bjson";
        let answer = repository.get(&format!("referrers/{}{query}", digest(&subject))).await;
        // A registry may list all types; the header tells whether it filtered.
        if header(&answer, "oci-filters-applied").as_deref() == Some("artifactType") {
            assert_eq!(list(&repository, &subject, query).await, [one], "{name}");
        }
    }
}

#[tokio::test]
async fn a_referrer_may_come_before_its_subject() {
    for repository in with_api() {
        let name = &repository.registry.name;
        let subject = repository.image(json!({})).await;
        let signature = refer(&repository, &subject, Some("application/vnd.example.one+json")).await;
        assert_eq!(list(&repository, &subject, "").await, [signature], "{name}");
    }
}

#[tokio::test]
async fn a_deleted_referrer_is_no_longer_listed() {
    for repository in with_api() {
        let name = &repository.registry.name;
        let subject = repository.push_image("v1").await;
        let signature = refer(&repository, &subject, None).await;
        let path = format!("manifests/{}", signature["digest"].as_str().expect("a digest is a text"));
        assert_eq!(send(repository.call(Method::DELETE, &path)).await.status(), 202, "{name}");
        assert_eq!(list(&repository, &subject, "").await, Vec::<Value>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_registry_without_the_api_takes_the_subject_and_answers_404() {
    for repository in repositories().into_iter().filter(|repository| !repository.quirks.referrers_api) {
        let name = &repository.registry.name;
        let subject = repository.push_image("v1").await;
        refer(&repository, &subject, None).await;
        let answer = repository.get(&format!("referrers/{}", digest(&subject))).await;
        assert_eq!(answer.status(), 404, "{name}");
    }
}
