//! Images to sign.

use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::json;
use signet::domain::{Descriptor, Digest};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pushes an image that no other test has, and returns its digest. `base` is `http://host/v2/name`.
pub async fn push(client: &Client, base: &str) -> Digest {
    push_described(client, base).await.digest
}

/// As [`push`]; how an index describes the image.
pub async fn push_described(client: &Client, base: &str) -> Descriptor {
    let layer = uuid::Uuid::new_v4().as_bytes().to_vec();
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]}});
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": Descriptor::of("application/vnd.oci.image.config.v1+json", &config),
        "layers": [Descriptor::of("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    push_blob(client, base, layer).await;
    push_blob(client, base, config).await;
    let manifest = manifest.to_string().into_bytes();
    let descriptor = Descriptor::of(MANIFEST, &manifest);
    put_manifest(client, base, &descriptor.digest.to_string(), MANIFEST, manifest).await;
    descriptor
}

/// Pushes an index of these manifests, and returns its digest and how an index describes it.
pub async fn push_index(client: &Client, base: &str, children: &[Descriptor]) -> (Digest, Descriptor) {
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).to_string().into_bytes();
    let descriptor = Descriptor::of(INDEX, &index);
    put_manifest(client, base, &descriptor.digest.to_string(), INDEX, index).await;
    (descriptor.digest, descriptor)
}

/// Pushes one blob.
pub async fn push_blob(client: &Client, base: &str, blob: Vec<u8>) -> Digest {
    let digest = Digest::of(&blob);
    let begun = client.post(format!("{base}/blobs/uploads/")).send().await.unwrap();
    let location = begun.headers()[LOCATION].to_str().unwrap();
    let location = url::Url::parse(base).unwrap().join(location).unwrap();
    let separator = if location.query().is_some() { '&' } else { '?' };
    let put = client.put(format!("{location}{separator}digest={digest}")).body(blob);
    assert_eq!(put.send().await.unwrap().status(), 201);
    digest
}

/// Puts a manifest at a tag or digest.
pub async fn put_manifest(client: &Client, base: &str, reference: &str, media_type: &str, manifest: Vec<u8>) {
    let put = client.put(format!("{base}/manifests/{reference}"));
    let answer = put.header(CONTENT_TYPE, media_type).body(manifest).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}
