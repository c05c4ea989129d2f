//! Sigstore bundle v0.3 with a public key, and the OCI 1.1 referrer that carries it.
//!
//! - <https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto>
//! - <https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::signature_manifest::MANIFEST_MEDIA_TYPE;
use super::{dsse, go_json};
use crate::domain::{Content, Descriptor, Digest, Fingerprint, HashAlgorithm, Timestamp};

/// Media type of a bundle, and the artifact type of its referrer.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The configuration of a referrer that needs none.
pub const EMPTY_CONFIG: &[u8] = b"{}";
/// Bytes of a bundle around a signature statement or a blob's signature that we read. Those with certificates and
/// proofs fit too.
pub const MAX_SIGNATURE_BYTES: u64 = 1024 * 1024;
/// Bytes of a bundle around an attestation that we read.
pub const MAX_BYTES: u64 = dsse::MAX_BYTES + MAX_SIGNATURE_BYTES;

const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// How version 0.3 was written before.
const FORMER_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
const FAMILY: &str = "application/vnd.dev.sigstore.bundle";
const PREDICATE_TYPE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";

/// The bundle of `signature` over the in-toto `statement`, as JSON. The same parts always give the same bytes.
pub fn bundle(key: &Fingerprint, statement: &Content, signature: &[u8]) -> Content {
    let mut bundle = Content::from(r#"{"dsseEnvelope":"#);
    bundle.append(&dsse::envelope(statement, signature));
    bundle.push(format!(r#",{}}}"#, material(key)));
    bundle
}

/// The bundle of `signature` over a file with this `digest`, as JSON. The same parts always give the same bytes.
///
/// The digest is that of `hash`, also where the key is an Ed25519 key, which signs the file itself.
pub fn blob_bundle(key: &Fingerprint, (hash, digest): (HashAlgorithm, &[u8]), signature: &[u8]) -> String {
    let (digest, signature) = (STANDARD.encode(digest), STANDARD.encode(signature));
    let (algorithm, material) = (algorithm_name(hash), material(key));
    format!(
        r#"{{"messageSignature":{{"messageDigest":{{"algorithm":"{algorithm}","digest":"{digest}"}},"signature":"{signature}"}},{material}}}"#
    )
}

/// The end that all of our bundles have.
fn material(key: &Fingerprint) -> String {
    let hint = STANDARD.encode(key.as_bytes());
    format!(r#""mediaType":"{MEDIA_TYPE}","verificationMaterial":{{"publicKey":{{"hint":"{hint}"}}}}"#)
}

/// `HashAlgorithm` of <https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_common.proto>.
const fn algorithm_name(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::Sha256 => "SHA2_256",
        HashAlgorithm::Sha384 => "SHA2_384",
        HashAlgorithm::Sha512 => "SHA2_512",
    }
}

/// What of a bundle concerns us; others may carry certificates and proofs besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bundle {
    /// A signature over a statement.
    Dsse(dsse::Envelope),
    /// A signature over a file.
    Message(MessageSignature),
}

/// A signature over a file, and which file that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSignature {
    /// None for an algorithm that we do not know. A claim: cosign does not look at it.
    pub hash: Option<HashAlgorithm>,
    pub digest: Vec<u8>,
    pub signature: Vec<u8>,
}

/// Why bytes are no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("it is no Sigstore bundle: {0}")]
    Json(String),
    #[error("it is no Sigstore bundle v0.3 but `{0}`")]
    MediaType(String),
    #[error("the bundle was signed with a certificate, not with a key")]
    Certificate,
    #[error("the bundle's `verificationMaterial` has not exactly one of `publicKey` and `certificate`")]
    Material,
    #[error("the bundle has not exactly one of `dsseEnvelope` and `messageSignature`")]
    Content,
    #[error("the bundle's envelope has {0} signatures, it must have one")]
    Signatures(usize),
    /// Verifiers skip a signature that names its key, unless it is by the name that they expect.
    #[error("the bundle's signature has a `keyid`, it must have none")]
    KeyId,
    #[error("the `{0}` of the bundle is no standard base64")]
    Base64(&'static str),
    #[error(transparent)]
    Envelope(#[from] dsse::EnvelopeError),
}

impl Bundle {
    /// Reads a bundle of version 0.3, as strictly as verifiers do: they open no older ones on images.
    ///
    /// # Errors
    /// Where it is none, does not have exactly one signature, or is one of a certificate.
    pub fn parse(json: &[u8]) -> Result<Self, BundleError> {
        let encoded: EncodedBundle<'_> =
            serde_json::from_slice(json).map_err(|error| BundleError::Json(error.to_string()))?;
        if ![MEDIA_TYPE, FORMER_MEDIA_TYPE].contains(&encoded.media_type.as_str()) {
            return Err(BundleError::MediaType(encoded.media_type.chars().take(100).collect()));
        }
        match encoded.verification_material {
            Material { public_key: Some(_), certificate: None, .. } => {}
            Material { public_key: None, certificate: Some(_), .. } => return Err(BundleError::Certificate),
            _ => return Err(BundleError::Material),
        }
        match (encoded.dsse_envelope, encoded.message_signature) {
            (Some(envelope), None) => {
                let envelope = dsse::Encoded::from(envelope);
                if envelope.names_a_key() {
                    return Err(BundleError::KeyId);
                }
                let envelope = envelope.decode()?;
                match envelope.signatures.len() {
                    1 => Ok(Self::Dsse(envelope)),
                    other => Err(BundleError::Signatures(other)),
                }
            }
            (None, Some(message)) => message.decode().map(Self::Message),
            _ => Err(BundleError::Content),
        }
    }
}

/// A manifest that refers to `subject` and carries a bundle around a statement with a predicate of this type, and how
/// an index of referrers describes it.
pub fn referrer(
    subject: &Descriptor,
    bundle: &Content,
    predicate_type: &str,
    signed_at: Timestamp,
) -> (Vec<u8>, Descriptor) {
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
        (PREDICATE_TYPE_ANNOTATION.to_owned(), predicate_type.to_owned()),
        ("org.opencontainers.image.created".to_owned(), signed_at.to_string()),
    ]);
    let manifest = go_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: MANIFEST_MEDIA_TYPE,
        config: Descriptor::of(EMPTY_MEDIA_TYPE, EMPTY_CONFIG),
        layers: [Descriptor::of_content(MEDIA_TYPE, bundle)],
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

/// The type of the predicate in a referrer, as far as the index of referrers says it: older registry clients
/// leave it out there. A claim, until the bundle was opened.
pub fn claimed_type(referrer: &Descriptor) -> Option<&str> {
    referrer.annotations.get(PREDICATE_TYPE_ANNOTATION).map(String::as_str)
}

/// The blob that a referrer's manifest says its bundle is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleLayer {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// As in [`claimed_type`].
    pub predicate_type: Option<String>,
}

/// The blob that holds the bundle of a referrer's manifest; `None` where it is not exactly one.
pub fn bundle_layer(manifest: &[u8]) -> Option<BundleLayer> {
    #[derive(Deserialize)]
    struct Manifest {
        layers: Vec<Descriptor>,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let mut manifest: Manifest = serde_json::from_slice(manifest).ok()?;
    match manifest.layers.as_slice() {
        [layer] if layer.media_type.starts_with(FAMILY) => Some(BundleLayer {
            digest: layer.digest,
            size: layer.size,
            predicate_type: manifest.annotations.remove(PREDICATE_TYPE_ANNOTATION),
        }),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EncodedBundle<'a> {
    media_type: String,
    verification_material: Material,
    #[serde(borrow, default)]
    dsse_envelope: Option<dsse::StrictlyEncoded<'a>>,
    #[serde(default)]
    message_signature: Option<EncodedMessage>,
}

/// Whether a key or a certificate made the signature. Proofs of logs and of clocks may stand beside it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Material {
    public_key: Option<IgnoredAny>,
    certificate: Option<IgnoredAny>,
    #[serde(rename = "tlogEntries")]
    _log_entries: Option<IgnoredAny>,
    #[serde(rename = "timestampVerificationData")]
    _timestamps: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EncodedMessage {
    message_digest: EncodedDigest,
    signature: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncodedDigest {
    algorithm: String,
    digest: String,
}

impl EncodedMessage {
    fn decode(&self) -> Result<MessageSignature, BundleError> {
        let decode = |field, text: &str| STANDARD.decode(text).map_err(|_| BundleError::Base64(field));
        let algorithm = &self.message_digest.algorithm;
        Ok(MessageSignature {
            hash: HashAlgorithm::ALL.into_iter().find(|hash| algorithm_name(*hash) == algorithm),
            digest: decode("digest", &self.message_digest.digest)?,
            signature: decode("signature", &self.signature)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PublicKey;
    use crate::format::statement;

    #[test]
    fn bundles_have_what_verifiers_demand_and_no_more() {
        let key = PublicKey::from_pem(&crate::domain::test_key_pair().1).unwrap().fingerprint();
        let hint = STANDARD.encode(key.as_bytes());
        let end = format!(
            r#""mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{{"publicKey":{{"hint":"{hint}"}}}}}}"#
        );
        let statement_bundle = format!(
            r#"{{"dsseEnvelope":{{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{{"sig":"c2ln"}}]}},{end}"#
        );
        assert_eq!(bundle(&key, &"{}".into(), b"sig"), Content::from(statement_bundle.clone()));
        let Ok(Bundle::Dsse(envelope)) = Bundle::parse(statement_bundle.as_bytes()) else {
            panic!("no bundle")
        };
        assert_eq!((&envelope.payload[..], envelope.only_signature()), (&b"{}"[..], Some(&b"sig"[..])));
        for (hash, name) in HashAlgorithm::ALL.into_iter().zip(["SHA2_256", "SHA2_384", "SHA2_512"]) {
            let blob = blob_bundle(&key, (hash, b"hash"), b"sig");
            let expected = format!(
                r#"{{"messageSignature":{{"messageDigest":{{"algorithm":"{name}","digest":"aGFzaA=="}},"signature":"c2ln"}},{end}"#
            );
            assert_eq!(blob, expected);
            let message =
                MessageSignature { hash: Some(hash), digest: b"hash".into(), signature: b"sig".into() };
            assert_eq!(Bundle::parse(blob.as_bytes()), Ok(Bundle::Message(message)));
        }
    }

    #[test]
    fn what_is_no_bundle_with_one_signature_is_refused() {
        let material = r#""verificationMaterial":{"publicKey":{"hint":""},"tlogEntries":[]}"#;
        let with = |content: &str| format!(r#"{{"mediaType":"{MEDIA_TYPE}",{material}{content}}}"#);
        let envelope = |signatures: &str| {
            format!(r#","dsseEnvelope":{{"payload":"","payloadType":"x","signatures":[{signatures}]}}"#)
        };
        let message =
            r#","messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":""},"signature":""}"#;
        let one = envelope(r#"{"sig":""}"#);
        assert!(Bundle::parse(with(&one).as_bytes()).is_ok());
        assert!(Bundle::parse(with(&envelope(r#"{"sig":"","keyid":""}"#)).as_bytes()).is_ok());
        assert!(Bundle::parse(with(message).as_bytes()).is_ok());
        assert!(Bundle::parse(with(&one).replace(MEDIA_TYPE, FORMER_MEDIA_TYPE).as_bytes()).is_ok());
        let former = FORMER_MEDIA_TYPE.replace("0.3", "0.2");
        for (text, error) in [
            (with(""), BundleError::Content),
            (with(&(one.clone() + message)), BundleError::Content),
            (with(&envelope("")), BundleError::Signatures(0)),
            (with(&envelope(r#"{"sig":"","keyid":"x"}"#)), BundleError::KeyId),
            (with(&envelope(r#"{"sig":""},{"sig":""}"#)), BundleError::Signatures(2)),
            (
                with(&message.replace(r#""signature":"""#, r#""signature":"?""#)),
                BundleError::Base64("signature"),
            ),
            (
                with(&one).replace("sigstore", "example"),
                BundleError::MediaType(MEDIA_TYPE.replace("sigstore", "example")),
            ),
            (with(&one).replace(MEDIA_TYPE, &former), BundleError::MediaType(former.clone())),
            (with(&one).replace("publicKey", "certificate"), BundleError::Certificate),
            (with(&one).replace(r#""publicKey":{"hint":""},"#, ""), BundleError::Material),
        ] {
            assert_eq!(Bundle::parse(text.as_bytes()), Err(error), "{text}");
        }
        for text in [
            "{}".to_owned(),
            with(&one).replace(material, r#""more":1"#),
            with(&one).replace(r#""tlogEntries""#, r#""more""#),
            with(&(one.clone() + r#","more":1"#)),
            with(&one.replace(r#""payload""#, r#""more":1,"payload""#)),
        ] {
            assert!(matches!(Bundle::parse(text.as_bytes()), Err(BundleError::Json(_))), "{text}");
        }
    }

    #[test]
    fn a_referrer_names_its_subject_its_bundle_and_the_time_of_signing() {
        let subject = Descriptor::of("application/vnd.oci.image.index.v1+json", b"image");
        let signed_at = "2026-01-02T03:04:05Z".parse().unwrap();
        let (manifest, descriptor) =
            referrer(&subject, &Content::from("bundle"), statement::SIGNATURE_PREDICATE, signed_at);
        let layer = BundleLayer {
            digest: Digest::of(b"bundle"),
            size: 6,
            predicate_type: Some(statement::SIGNATURE_PREDICATE.to_owned()),
        };
        assert_eq!(bundle_layer(&manifest), Some(layer));
        assert!(is_bundle(&descriptor));
        assert_eq!(claimed_type(&descriptor), Some(statement::SIGNATURE_PREDICATE));
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["subject"]["digest"], subject.digest.to_string());
        assert_eq!(manifest["annotations"]["org.opencontainers.image.created"], "2026-01-02T03:04:05Z");
        assert_eq!(
            manifest["config"]["digest"],
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }
}
