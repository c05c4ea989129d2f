//! An image to sign: one layer, a few hundred bytes.

use std::net::SocketAddr;

use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::json;

use crate::domain::{Descriptor, Digest, ImageReference, Repository};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Pushes the image `demo/app:sample`. The same every time, so that pushing it again changes nothing.
pub async fn push(client: &Client, registry: SocketAddr) -> reqwest::Result<ImageReference> {
    // An empty tar archive: two blocks of zeros.
    let layer = vec![0; 1024];
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": Descriptor::of(CONFIG, &config), "layers": [Descriptor::of(LAYER, &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let base = format!("http://{registry}/v2/demo/app");
    for blob in [layer, config] {
        push_blob(client, registry, &base, blob).await?;
    }
    let digest = Digest::of(&manifest);
    let put = client.put(format!("{base}/manifests/sample")).header(CONTENT_TYPE, MANIFEST).body(manifest);
    put.send().await?.error_for_status()?;
    let repository: Repository =
        format!("{registry}/demo/app").parse().expect("invariant: a socket address and a literal name");
    Ok(ImageReference { repository, digest })
}

async fn push_blob(client: &Client, registry: SocketAddr, base: &str, blob: Vec<u8>) -> reqwest::Result<()> {
    let digest = Digest::of(&blob);
    let begun = client.post(format!("{base}/blobs/uploads/")).send().await?.error_for_status()?;
    let location = begun.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let separator = if location.contains('?') { '&' } else { '?' };
    let url = match location.starts_with("http") {
        true => format!("{location}{separator}digest={digest}"),
        false => format!("http://{registry}{location}{separator}digest={digest}"),
    };
    client.put(url).body(blob).send().await?.error_for_status()?;
    Ok(())
}
