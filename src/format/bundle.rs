//! Sigstore bundle v0.3 with a public key, and the OCI 1.1 referrer that carries it.
//!
//! - <https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto>
//! - <https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md>
//!
//! The key's id stays out of the envelope: some verifiers skip a signature whose id they do not expect.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{dsse, go_json, statement};
use crate::domain::{
    Annotations, Descriptor, Digest, Fingerprint, HashAlgorithm, PublicKey, SigningInput, Timestamp,
};

/// Media type of a bundle, and the artifact type of its referrer.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The configuration of a referrer that needs none.
pub const EMPTY_CONFIG: &[u8] = b"{}";
/// Bytes of a bundle around a signature statement that we read. Those with certificates and proofs fit too.
pub const MAX_BYTES: u64 = 1024 * 1024;

const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";
const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const FAMILY: &str = "application/vnd.dev.sigstore.bundle";

/// The bundle of `signature` over `statement`, as JSON. The same parts always give the same bytes.
pub fn bundle(key: &Fingerprint, statement: &[u8], signature: &[u8]) -> Vec<u8> {
    go_json::to_vec(&serde_json::json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": STANDARD.encode(key.as_bytes())}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(statement),
            "payloadType": dsse::IN_TOTO,
            "signatures": [{"sig": STANDARD.encode(signature)}],
        },
    }))
}

/// What a bundle signs, and the signature over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    /// In the bytes that were signed: others write the same statement in other bytes than we do.
    pub statement: Vec<u8>,
    pub signature: Vec<u8>,
}

/// What is in a bundle that says, verifiably with `key`, that the image is signed with just these
/// annotations. `None` for every other bundle.
pub fn matching_signature(
    bundle: &[u8],
    image: Digest,
    annotations: &Annotations,
    (key, hash): (&PublicKey, HashAlgorithm),
) -> Option<SignedStatement> {
    let bundle: Bundle = serde_json::from_slice(bundle).ok()?;
    let [signature] = bundle.dsse_envelope.signatures.as_slice() else { return None };
    if bundle.dsse_envelope.payload_type != dsse::IN_TOTO {
        return None;
    }
    let statement = STANDARD.decode(&bundle.dsse_envelope.payload).ok()?;
    let signature = STANDARD.decode(&signature.sig).ok()?;
    let signed = dsse::pre_authentication_encoding(dsse::IN_TOTO, &statement);
    let signed = SigningInput::of(key.key_type(), hash, &signed.into());
    (statement::says_signed(&statement, image, annotations) && key.verifies(&signed, &signature))
        .then_some(SignedStatement { statement, signature })
}

/// A manifest that refers to `subject` and carries a bundle, and how an index of referrers describes it.
pub fn referrer(subject: &Descriptor, bundle: &[u8], signed_at: Timestamp) -> (Vec<u8>, Descriptor) {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest<'a> {
        schema_version: u32,
        media_type: &'a str,
        config: Descriptor,
        layers: [Descriptor; 1],
        annotations: &'a BTreeMap<String, String>,
        subject: Descriptor,
        artifact_type: &'a str,
    }
    let annotations = BTreeMap::from([
        ("dev.sigstore.bundle.content".to_owned(), "dsse-envelope".to_owned()),
        ("dev.sigstore.bundle.predicateType".to_owned(), statement::SIGNATURE_PREDICATE.to_owned()),
        ("org.opencontainers.image.created".to_owned(), signed_at.to_string()),
    ]);
    let manifest = go_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: MANIFEST_MEDIA_TYPE,
        config: Descriptor::of(EMPTY_MEDIA_TYPE, EMPTY_CONFIG),
        layers: [Descriptor::of(MEDIA_TYPE, bundle)],
        annotations: &annotations,
        subject: Descriptor { artifact_type: None, annotations: BTreeMap::new(), ..subject.clone() },
        artifact_type: MEDIA_TYPE,
    });
    let descriptor = Descriptor {
        artifact_type: Some(MEDIA_TYPE.to_owned()),
        annotations,
        ..Descriptor::of(MANIFEST_MEDIA_TYPE, &manifest)
    };
    (manifest, descriptor)
}

/// Whether an index of referrers describes a bundle, of whatever version.
pub fn is_bundle(referrer: &Descriptor) -> bool {
    referrer.artifact_type.as_deref().is_some_and(|artifact_type| artifact_type.starts_with(FAMILY))
}

/// The blob that holds the bundle of a referrer's manifest; `None` where it is not exactly one.
pub fn bundle_layer(manifest: &[u8]) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Manifest {
        layers: Vec<Descriptor>,
    }
    let manifest: Manifest = serde_json::from_slice(manifest).ok()?;
    match manifest.layers.as_slice() {
        [layer] if layer.media_type.starts_with(FAMILY) && layer.size <= MAX_BYTES => Some(layer.digest),
        _ => None,
    }
}

/// What of a bundle concerns us; others may carry certificates and proofs besides.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;

    use super::*;
    use crate::domain::PublicKey;

    const SHA: HashAlgorithm = HashAlgorithm::Sha256;

    fn signed() -> (PublicKey, Digest, Vec<u8>) {
        let (pair, pem) = crate::domain::test_key_pair();
        let key = PublicKey::from_pem(&pem).unwrap();
        let image = Digest::of(b"image");
        let statement = statement::signature_statement(image, &Annotations::default());
        let signed = dsse::pre_authentication_encoding(dsse::IN_TOTO, &statement);
        let signature = pair.sign(&SystemRandom::new(), &signed).unwrap();
        (key.clone(), image, bundle(&key.fingerprint(), &statement, signature.as_ref()))
    }

    #[test]
    fn a_bundle_matches_its_image_annotations_and_key_alone() {
        let (key, image, bundle) = signed();
        let none = Annotations::default();
        let some = Annotations::new([("k".to_owned(), "v".to_owned())].into()).unwrap();
        let other = PublicKey::from_pem(&crate::domain::test_key_pair().1).unwrap();
        assert!(matching_signature(&bundle, image, &none, (&key, SHA)).is_some());
        assert!(matching_signature(&bundle, Digest::of(b"other"), &none, (&key, SHA)).is_none());
        assert!(matching_signature(&bundle, image, &some, (&key, SHA)).is_none());
        assert!(matching_signature(&bundle, image, &none, (&other, SHA)).is_none());
        assert!(matching_signature(b"{}", image, &none, (&key, SHA)).is_none());
    }

    #[test]
    fn the_bundle_has_what_verifiers_demand_and_no_more() {
        let (key, _, bundle) = signed();
        let bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&bundle), ["dsseEnvelope", "mediaType", "verificationMaterial"]);
        assert_eq!(keys(&bundle["dsseEnvelope"]["signatures"][0]), ["sig"]);
        assert_eq!(
            bundle["verificationMaterial"]["publicKey"]["hint"],
            STANDARD.encode(key.fingerprint().as_bytes())
        );
    }

    #[test]
    fn a_referrer_names_its_subject_its_bundle_and_the_time_of_signing() {
        let subject = Descriptor::of("application/vnd.oci.image.index.v1+json", b"image");
        let signed_at = "2026-01-02T03:04:05Z".parse().unwrap();
        let (manifest, descriptor) = referrer(&subject, b"bundle", signed_at);
        assert_eq!(bundle_layer(&manifest), Some(Digest::of(b"bundle")));
        assert!(is_bundle(&descriptor));
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["subject"]["digest"], subject.digest.to_string());
        assert_eq!(manifest["annotations"]["org.opencontainers.image.created"], "2026-01-02T03:04:05Z");
        assert_eq!(
            manifest["config"]["digest"],
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }
}
