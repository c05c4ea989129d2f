//! Images to sign, in a registry.

use futures::future::try_join_all;
use reqwest::Client;
use serde_json::json;
use signet::domain::{Descriptor, Digest};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const PUSHERS: usize = 8;

/// Pushes so many new ones to a repository of their own, and returns their references. They differ in an annotation
/// alone, so that each costs one call.
///
/// # Errors
/// Where the registry does not take them.
pub async fn push_images(http: &Client, host: &str, count: usize) -> Result<Vec<String>, Failure> {
    let name = format!("bench/{}", uuid::Uuid::new_v4().simple());
    let base = format!("http://{host}/v2/{name}");
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let config = config.to_string().into_bytes();
    push_blob(http, &base, &config).await?;
    let push = async |number: usize| {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": Descriptor::of(CONFIG, &config), "annotations": {"number": number.to_string()},
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = Digest::of(&manifest);
        let put = http.put(format!("{base}/manifests/{digest}")).header("Content-Type", MANIFEST);
        put.body(manifest).send().await?.error_for_status()?;
        Ok::<_, Failure>(format!("{host}/{name}@{digest}"))
    };
    let pusher = async |first: usize| {
        let mut references = Vec::new();
        for number in (first..count).step_by(PUSHERS) {
            references.push(push(number).await?);
        }
        Ok::<_, Failure>(references)
    };
    Ok(try_join_all((0..PUSHERS).map(pusher)).await?.concat())
}

async fn push_blob(http: &Client, base: &str, blob: &[u8]) -> Result<(), Failure> {
    let begun = http.post(format!("{base}/blobs/uploads/")).send().await?.error_for_status()?;
    let location = begun.headers().get("Location").ok_or("no Location")?.to_str()?;
    let mut session = url::Url::parse(base)?.join(location)?;
    session.query_pairs_mut().append_pair("digest", &Digest::of(blob).to_string());
    http.put(session).body(blob.to_vec()).send().await?.error_for_status()?;
    Ok(())
}
