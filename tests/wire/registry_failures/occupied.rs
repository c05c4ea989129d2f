//! Something else is where the signatures belong.

use serde_json::json;

use super::{entries, sign};
use crate::support::attached::{digest_of, sig_tag};
use crate::support::world::Settings;
use crate::support::{World, image};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An index that names `image`, as somebody could push it to any tag.
fn index_of(image: &str, size: usize) -> Vec<u8> {
    let manifest = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest_of(image), "size": size,
    });
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]}).to_string().into_bytes()
}

#[tokio::test]
async fn junk_at_the_sig_tag_is_409_and_stays_as_it_is() {
    for world in World::in_each_registry(Settings::default()).await {
        let image = world.push_image().await;
        let (subject, _) = world.tagged(&image, &digest_of(&image).to_string()).await.unwrap();
        let junk = index_of(&image, subject.len());
        let tag = sig_tag(&image);
        image::put_manifest(&world.client, &world.upstream(), &tag, INDEX, junk.clone()).await;
        for format in ["cosign", "bundle"] {
            let answer = sign(&world, &image, format).await;
            world.assert_problem(&answer, 409, "layout-conflict");
            assert!(answer.detail().contains(&tag), "{}", answer.detail());
        }
        assert!(entries(&world, &image, "intent").await.is_empty());
        assert_eq!(world.tagged(&image, &tag).await.unwrap().0, junk, "{}", world.registry.name);
    }
}

#[tokio::test]
async fn an_image_at_the_sig_tag_whose_layers_are_no_signatures_is_kept_and_added_to() {
    for world in World::in_each_registry(Settings::default()).await {
        let image = world.push_image().await;
        let (subject, manifest) = world.tagged(&image, &digest_of(&image).to_string()).await.unwrap();
        let tag = sig_tag(&image);
        let media_type = manifest["mediaType"].as_str().unwrap();
        image::put_manifest(&world.client, &world.upstream(), &tag, media_type, subject).await;
        let answer = sign(&world, &image, "cosign").await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let layers = world.layers(&image).await;
        assert_eq!(layers.len(), 2);
        assert_eq!(layers[0], manifest["layers"][0], "{}", world.registry.name);
        assert_eq!(sign(&world, &image, "cosign").await.status, 200);
    }
}

#[tokio::test]
async fn junk_at_the_fallback_tag_is_refused_and_stays_as_it_is() {
    let lines = vec![("registries", "referrers = 'tag'".to_owned())];
    for world in World::in_each_registry(Settings { lines, ..Settings::default() }).await {
        let image = world.push_image().await;
        let (subject, manifest) = world.tagged(&image, &digest_of(&image).to_string()).await.unwrap();
        let tag = format!("sha256-{}", digest_of(&image).hex());
        let media_type = manifest["mediaType"].as_str().unwrap();
        image::put_manifest(&world.client, &world.upstream(), &tag, media_type, subject.clone()).await;
        let answer = sign(&world, &image, "bundle").await;
        world.assert_problem(&answer, 400, "format-unsupported");
        assert_eq!(world.tagged(&image, &tag).await.unwrap().0, subject, "{}", world.registry.name);
        // The other layout does not need that tag.
        let answer = sign(&world, &image, "cosign").await;
        assert_eq!(answer.status, 201, "{}: {answer:?}", world.registry.name);
    }
}
