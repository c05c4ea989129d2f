//! Cosign's attestations: a DSSE envelope, kept as a layer below the tag `sha256-<hex>.att`.
//! <https://github.com/sigstore/cosign/blob/main/specs/ATTESTATION_SPEC.md>

use super::signature_manifest::Layer;
use crate::domain::{Content, Descriptor, Digest, KeyReference, Timestamp};

/// Media type of a layer that holds an envelope.
pub const ENVELOPE_MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

const PREDICATE_TYPE_ANNOTATION: &str = "predicateType";
const DATE_ANNOTATION: &str = "org.opencontainers.image.created";

/// The tag below which an image's attestations hang.
pub fn tag(image: Digest) -> String {
    format!("sha256-{}.att", image.hex())
}

/// The layer that carries `envelope`. Its annotation for a detached signature is empty: verifiers demand that it
/// is there, and read the envelope. The date tells which of two attestations is the newer one.
pub fn layer(envelope: &Content, predicate_type: &str, key: &KeyReference, signed_at: Timestamp) -> Layer {
    Layer::new(Descriptor::of_content(ENVELOPE_MEDIA_TYPE, envelope), &[], key)
        .annotated(PREDICATE_TYPE_ANNOTATION, predicate_type)
        .annotated(DATE_ANNOTATION, &signed_at.to_string())
}

/// When `layer` says that it was signed: a claim as well.
pub fn claimed_date(layer: &Layer) -> Option<Timestamp> {
    layer.annotations.get(DATE_ANNOTATION)?.parse().ok()
}

/// The type of the attestation that `layer` says it holds: a claim, until the envelope was opened.
pub fn claimed_type(layer: &Layer) -> Option<&str> {
    let claimed = layer.annotations.get(PREDICATE_TYPE_ANNOTATION).map(String::as_str);
    claimed.filter(|_| layer.media_type == ENVELOPE_MEDIA_TYPE)
}

/// Whether `layer` says that it holds an attestation of this type.
pub fn claims_type(layer: &Layer, predicate_type: &str) -> bool {
    claimed_type(layer) == Some(predicate_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::signature_manifest::SignatureManifest;
    use crate::format::signature_manifest::tests::key;

    #[test]
    fn the_manifest_has_what_verifiers_demand() {
        let (key, envelope) = (key(), Content::from("envelope"));
        let signed_at = "2026-01-02T03:04:05Z".parse().unwrap();
        let layer = layer(&envelope, "https://example.com/type", &key, signed_at);
        let appended = SignatureManifest::append(None, layer.clone(), signed_at);
        let config = Digest::of(&appended.config);
        assert_eq!(
            String::from_utf8(appended.manifest).unwrap(),
            format!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"digest":"{config}","mediaType":"application/vnd.oci.image.config.v1+json","size":{}}},"layers":[{{"mediaType":"application/vnd.dsse.envelope.v1+json","size":8,"digest":"{}","annotations":{{"dev.cosignproject.cosign/signature":"","dev.signet.key/fingerprint":"{}","dev.signet.key/name":"release","dev.signet.key/version":"3","org.opencontainers.image.created":"2026-01-02T03:04:05Z","predicateType":"https://example.com/type"}}}}]}}"#,
                appended.config.len(),
                Digest::of(b"envelope"),
                key.fingerprint,
            )
        );
        assert_eq!(claimed_date(&layer), Some(signed_at));
        assert!(claims_type(&layer, "https://example.com/type"));
        assert!(!claims_type(&layer, "https://example.com/other"));
        assert_eq!(tag(Digest::from_bytes([0xab; 32])), format!("sha256-{}.att", "ab".repeat(32)));
    }
}
