//! Cosign's container signatures: a "simple signing" payload, kept as a layer below the tag
//! `sha256-<hex>.sig`.
//!
//! - Payload: <https://github.com/containers/image/blob/main/docs/containers-signature.5.md>
//! - Layout: <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>

use std::collections::BTreeMap;

use serde::Serialize;

use super::go_json;
use super::signature_manifest::Layer;
use crate::domain::{Annotations, Descriptor, Digest, ImageReference, KeyReference};

/// Media type of a layer that holds a payload.
pub const PAYLOAD_MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The bytes that are signed. The same image and annotations always give the same bytes, and
/// those that cosign gives.
pub fn payload(image: &ImageReference, annotations: &Annotations) -> Vec<u8> {
    #[derive(Serialize)]
    struct Payload<'a> {
        critical: Critical<'a>,
        optional: Option<&'a BTreeMap<String, String>>,
    }
    #[derive(Serialize)]
    struct Critical<'a> {
        identity: Identity,
        image: Image,
        r#type: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Identity {
        docker_reference: String,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Image {
        docker_manifest_digest: Digest,
    }
    go_json::to_vec(&Payload {
        critical: Critical {
            identity: Identity { docker_reference: image.repository.to_string() },
            image: Image { docker_manifest_digest: image.digest },
            r#type: "cosign container image signature",
        },
        optional: (!annotations.is_empty()).then_some(annotations.as_map()),
    })
}

/// The tag below which an image's signatures hang.
pub fn tag(image: Digest) -> String {
    format!("sha256-{}.sig", image.hex())
}

/// The layer that carries `signature` over `payload`.
pub fn layer(payload: &[u8], signature: &[u8], key: &KeyReference) -> Layer {
    Layer::new(Descriptor::of(PAYLOAD_MEDIA_TYPE, payload), signature, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageReference {
        let digest = "sha256:".to_owned() + &"ab".repeat(32);
        format!("registry.example.com/team/app@{digest}").parse().unwrap()
    }

    #[test]
    fn the_payload_is_byte_for_byte_what_cosign_signs() {
        assert_eq!(
            String::from_utf8(payload(&image(), &Annotations::default())).unwrap(),
            format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"registry.example.com/team/app"}},"image":{{"docker-manifest-digest":"sha256:{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn annotations_are_sorted_and_escaped_as_go_does() {
        let annotations = [("z", "<1&2>"), ("a", "é")];
        let annotations = annotations.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let payload = payload(&image(), &Annotations::new(annotations.into()).unwrap());
        let text = String::from_utf8(payload).unwrap();
        assert!(text.ends_with(r#""optional":{"a":"é","z":"\u003c1\u00262\u003e"}}"#), "{text}");
    }
}
