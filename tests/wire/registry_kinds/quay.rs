//! Quay, where it is old: it takes manifests with a subject and makes nothing of it. Nor does distribution. The fallback tag is
//! what its clients keep.

use serde_json::json;

use super::sign_numbered;
use crate::support::attached::digest_of;
use crate::support::traps::{is_referrers, no_such_page};
use crate::support::{Fault, World, image};

#[tokio::test]
async fn a_subject_that_is_ignored_goes_into_the_fallback_tag_beside_what_is_there() {
    for world in World::in_each_registry(Default::default()).await {
        let name = world.registry.name.clone();
        world.registry_proxy.break_with(|call| {
            let put = call.method == "PUT" && call.path.contains("/manifests/");
            is_referrers(call).then(no_such_page).or_else(|| put.then_some(Fault::Without("oci-subject")))
        });
        let image = world.push_image().await;
        let foreign = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2, "digest": digest_of(&image),
            "artifactType": "application/spdx+json", "annotations": {"by": "somebody"},
        });
        let index = json!({"schemaVersion": 2, "mediaType": image::INDEX, "manifests": [foreign], "annotations": {"a": "b"}});
        let tag = format!("sha256-{}", digest_of(&image).hex());
        let bytes = index.to_string().into_bytes();
        image::put_manifest(&world.client, &world.upstream(), &tag, image::INDEX, bytes).await;
        for (number, status) in [(1, 201), (2, 201), (1, 200)] {
            let answer = sign_numbered(&world, &image, "bundle", number).await;
            assert_eq!(answer.status, status, "{name}: {answer:?}");
        }
        let (_, index) = world.tagged(&image, &tag).await.unwrap();
        let entries = index["manifests"].as_array().unwrap();
        assert_eq!((entries.len(), &entries[0]), (3, &foreign), "{name}");
        assert_eq!(index["annotations"], json!({"a": "b"}), "{name}");
        for ours in &entries[1..] {
            assert_eq!(ours["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json", "{name}");
            assert!(ours["annotations"]["org.opencontainers.image.created"].is_string(), "{name}");
        }
    }
}
