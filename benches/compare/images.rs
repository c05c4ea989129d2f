//! Images to sign.

use std::path::PathBuf;

use futures::future::try_join_all;
use serde_json::json;
use signet::domain::{Descriptor, Digest};

use crate::Failure;
use crate::servers::World;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const PUSHERS: usize = 8;

/// Images that are in a registry.
pub struct Images {
    pub references: Vec<String>,
}

impl Images {
    /// Pushes so many new ones to `host`, as `host` calls itself. They differ in an annotation alone, so that each costs one call.
    pub async fn push(world: &World, host: &str, count: usize) -> Result<Self, Failure> {
        let name = format!("bench/{}", uuid::Uuid::new_v4().simple());
        let base = format!("http://{host}/v2/{name}");
        let config =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
        let config = config.to_string().into_bytes();
        push_blob(world, &base, &config).await?;
        let push = async |number: usize| {
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
                "config": Descriptor::of(CONFIG, &config), "annotations": {"number": number.to_string()},
            });
            let manifest = manifest.to_string().into_bytes();
            let digest = Digest::of(&manifest);
            let put = world.http.put(format!("{base}/manifests/{digest}"));
            put.header("Content-Type", MANIFEST).body(manifest).send().await?.error_for_status()?;
            Ok::<_, Failure>(format!("{host}/{name}@{digest}"))
        };
        let pusher = async |first: usize| {
            let mut references = Vec::new();
            for number in (first..count).step_by(PUSHERS) {
                references.push(push(number).await?);
            }
            Ok::<_, Failure>(references)
        };
        let references = try_join_all((0..PUSHERS).map(pusher)).await?.concat();
        Ok(Self { references })
    }

    /// The same under another name of their registry.
    pub fn at(&self, host: &str) -> Result<Self, Failure> {
        let rename = |reference: &String| Some(format!("{host}/{}", reference.split_once('/')?.1));
        let references = self.references.iter().map(rename).collect::<Option<_>>().ok_or("no image")?;
        Ok(Self { references })
    }

    /// A file with a reference a line.
    pub fn file(&self, world: &World) -> Result<PathBuf, Failure> {
        let path = world.directory.path().join("image-references");
        std::fs::write(&path, self.references.join("\n"))?;
        Ok(path)
    }
}

async fn push_blob(world: &World, base: &str, blob: &[u8]) -> Result<(), Failure> {
    let begun = world.http.post(format!("{base}/blobs/uploads/")).send().await?.error_for_status()?;
    let location = begun.headers().get("Location").ok_or("no Location")?.to_str()?;
    let mut session = url::Url::parse(base)?.join(location)?;
    session.query_pairs_mut().append_pair("digest", &Digest::of(blob).to_string());
    world.http.put(session).body(blob.to_vec()).send().await?.error_for_status()?;
    Ok(())
}
