//! Image indexes, as far as their children are concerned.
//! <https://github.com/opencontainers/image-spec/blob/main/image-index.md>

use serde::Deserialize;

use super::signature_manifest::MANIFEST_MEDIA_TYPE;
use crate::domain::Descriptor;

const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

const IMAGES: [&str; 2] = [MANIFEST_MEDIA_TYPE, "application/vnd.docker.distribution.manifest.v2+json"];

/// Whether a manifest of this media type lists others.
pub fn is_index(media_type: &str) -> bool {
    INDEXES.contains(&media_type)
}

/// What an index lists: images, attestation manifests of builders, and other indexes.
///
/// # Errors
/// Where it is no index, or lists what is neither image nor index; the text says what.
pub fn children(index: &[u8]) -> Result<Vec<Descriptor>, String> {
    #[derive(Deserialize)]
    struct Index {
        manifests: Vec<Descriptor>,
    }
    let Index { manifests } =
        serde_json::from_slice(index).map_err(|error| format!("it is no image index: {error}"))?;
    let other = |child: &&Descriptor| {
        let media_type = child.media_type.as_str();
        !INDEXES.contains(&media_type) && !IMAGES.contains(&media_type)
    };
    match manifests.iter().find(other) {
        None => Ok(manifests),
        Some(child) => {
            let media_type: String =
                child.media_type.chars().take(100).flat_map(char::escape_debug).collect();
            Err(format!("it lists {} of the media type `{media_type}`, which is no image", child.digest))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Digest;

    #[test]
    fn an_index_lists_images_and_indexes_and_nothing_else() {
        let child =
            |media_type: &str| json!({"mediaType": media_type, "size": 1, "digest": Digest::of(b"child")});
        let index = |child| serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [child]})).unwrap();
        for media_type in IMAGES.iter().chain(&INDEXES) {
            assert_eq!(children(&index(child(media_type))).unwrap()[0].digest, Digest::of(b"child"));
        }
        assert!(children(&index(child("text/html"))).unwrap_err().contains("text/html"));
        assert!(children(br#"{"layers":[]}"#).is_err());
        assert!(children(b"junk").is_err());
    }
}
