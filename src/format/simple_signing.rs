//! Cosign's container signatures: a "simple signing" payload, kept as a layer below the tag
//! `sha256-<hex>.sig`.
//!
//! - Payload: <https://github.com/containers/image/blob/main/docs/containers-signature.5.md>
//! - Layout: <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::go_json;
use crate::domain::{Annotations, Descriptor, Digest, ImageReference, KeyReference, Timestamp};

/// Media type of a layer that holds a payload.
pub const PAYLOAD_MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Media type of the manifest that the tag names.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

const CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const KEY_NAME_ANNOTATION: &str = "dev.signet.key/name";
const KEY_VERSION_ANNOTATION: &str = "dev.signet.key/version";
const KEY_FINGERPRINT_ANNOTATION: &str = "dev.signet.key/fingerprint";
const ZERO_DATE: &str = "0001-01-01T00:00:00Z";

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

/// A signature manifest, as far as it has to be understood. What is not understood is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignatureManifest {
    schema_version: u32,
    media_type: String,
    config: Value,
    pub layers: Vec<Layer>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// One signature of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    pub media_type: String,
    pub size: u64,
    pub digest: Digest,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A manifest with one more signature, and the configuration blob that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
}

impl Layer {
    /// The layer that carries `signature` over `payload`. It says which key made it, so that an
    /// old signature tells which public key to use.
    pub fn new(payload: &[u8], signature: &[u8], key: &KeyReference) -> Self {
        let descriptor = Descriptor::of(PAYLOAD_MEDIA_TYPE, payload);
        Self {
            media_type: descriptor.media_type,
            size: descriptor.size,
            digest: descriptor.digest,
            annotations: BTreeMap::from([
                (SIGNATURE_ANNOTATION.to_owned(), STANDARD.encode(signature)),
                (KEY_NAME_ANNOTATION.to_owned(), key.name.to_string()),
                (KEY_VERSION_ANNOTATION.to_owned(), key.version.to_string()),
                (KEY_FINGERPRINT_ANNOTATION.to_owned(), key.fingerprint.to_string()),
            ]),
            rest: Map::new(),
        }
    }

    /// Whether the two carry the same signature over the same payload, whatever else is written beside it.
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.signature().is_some() && self.signature() == other.signature()
    }

    /// The signature, where the layer has one that can be decoded.
    pub fn signature(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.annotations.get(SIGNATURE_ANNOTATION)?).ok()
    }
}

impl SignatureManifest {
    /// Reads the manifest that a signature tag names.
    ///
    /// # Errors
    /// Where it is no image manifest; the text says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no image manifest: {error}"))?;
        match (manifest.schema_version, manifest.media_type.as_str()) {
            (2, MANIFEST_MEDIA_TYPE | "application/vnd.docker.distribution.manifest.v2+json") => Ok(manifest),
            (_, other) => Err(format!("it is no image manifest but `{other}`")),
        }
    }

    /// The manifest with `layer` behind what it has. Other signatures stay as they are.
    ///
    /// `signed_at` becomes the date of the whole, so that a registry's clean-up by age sees how
    /// young the newest signature is.
    pub fn append(existing: Option<Self>, layer: Layer, signed_at: Timestamp) -> Appended {
        let mut manifest = existing.unwrap_or_else(|| Self {
            schema_version: 2,
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            config: Value::Null,
            layers: Vec::new(),
            rest: Map::new(),
        });
        manifest.layers.push(layer);
        let config = config(&manifest.layers, signed_at);
        let descriptor = Descriptor::of(CONFIG_MEDIA_TYPE, &config);
        manifest.config = serde_json::json!({
            "mediaType": descriptor.media_type, "size": descriptor.size, "digest": descriptor.digest,
        });
        Appended { manifest: go_json::to_vec(&manifest), config }
    }
}

/// The image configuration that cosign would write: one history entry and one diff id a signature.
fn config(layers: &[Layer], created: Timestamp) -> Vec<u8> {
    #[derive(Serialize)]
    struct Config<'a> {
        architecture: &'a str,
        created: &'a str,
        history: Vec<History<'a>>,
        os: &'a str,
        rootfs: RootFs<'a>,
        config: Map<String, Value>,
    }
    #[derive(Serialize, Clone)]
    struct History<'a> {
        created: &'a str,
    }
    #[derive(Serialize)]
    struct RootFs<'a> {
        r#type: &'a str,
        diff_ids: Vec<Digest>,
    }
    go_json::to_vec(&Config {
        architecture: "",
        created: &created.to_string(),
        history: vec![History { created: ZERO_DATE }; layers.len()],
        os: "",
        rootfs: RootFs { r#type: "layers", diff_ids: layers.iter().map(|layer| layer.digest).collect() },
        config: Map::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageReference {
        let digest = "sha256:".to_owned() + &"ab".repeat(32);
        format!("registry.example.com/team/app@{digest}").parse().unwrap()
    }

    fn key() -> KeyReference {
        let pem = crate::domain::PublicKey::from_pem(&crate::domain::test_key_pair().1).unwrap();
        KeyReference {
            name: "release".parse().unwrap(),
            version: crate::domain::KeyVersion::new(3).unwrap(),
            fingerprint: pem.fingerprint(),
        }
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

    #[test]
    fn with_the_zero_date_the_configuration_has_the_digest_that_cosign_gives() {
        let digest = "sha256:3af4414d20c9e1cb76ccc72aae8b242166dabe6af531a4a790db8e2f0e5ee7c9";
        let mut layer = Layer::new(b"", b"", &key());
        layer.digest = digest.parse().unwrap();
        let config = config(&[layer], ZERO_DATE.parse().unwrap());
        assert_eq!(config.len(), 233);
        assert_eq!(
            Digest::of(&config).to_string(),
            "sha256:6be03ee91610ddcd1b1c5b664bb2ef319a85b4ca9ebee1d64d87729c5fd83a91"
        );
    }

    #[test]
    fn appending_keeps_what_others_wrote_even_what_is_not_understood() {
        let foreign = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST_MEDIA_TYPE,
            "config": {"mediaType": CONFIG_MEDIA_TYPE, "size": 1, "digest": Digest::of(b"c")},
            "layers": [{
                "mediaType": PAYLOAD_MEDIA_TYPE, "size": 3, "digest": Digest::of(b"abc"),
                "annotations": {SIGNATURE_ANNOTATION: "AAAA", "x": "y"}, "urls": ["https://example.com"],
            }],
            "annotations": {"kept": "yes"}, "subject": {"size": 1},
        });
        let existing = SignatureManifest::parse(foreign.to_string().as_bytes()).unwrap();
        let layer = Layer::new(b"payload", b"signature", &key());
        let signed_at = "2026-01-02T03:04:05Z".parse().unwrap();
        let appended = SignatureManifest::append(Some(existing), layer.clone(), signed_at);

        let manifest: Value = serde_json::from_slice(&appended.manifest).unwrap();
        assert_eq!(manifest["layers"][0], foreign["layers"][0]);
        assert_eq!(manifest["annotations"], foreign["annotations"]);
        assert_eq!(manifest["subject"], foreign["subject"]);
        let parsed = SignatureManifest::parse(&appended.manifest).unwrap();
        assert_eq!(parsed.layers[1], layer);
        assert_eq!(parsed.layers[1].signature().as_deref(), Some(&b"signature"[..]));

        let config: Value = serde_json::from_slice(&appended.config).unwrap();
        assert_eq!(config["created"], "2026-01-02T03:04:05Z");
        assert_eq!(
            config["rootfs"]["diff_ids"],
            serde_json::json!([Digest::of(b"abc"), Digest::of(b"payload")])
        );
        assert_eq!(config["history"].as_array().unwrap().len(), 2);
        assert_eq!(manifest["config"]["digest"], Digest::of(&appended.config).to_string());
    }

    #[test]
    fn what_is_no_signature_manifest_is_not_appended_to() {
        for text in [
            "",
            "[]",
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","config":{},"layers":[]}"#,
        ] {
            assert!(SignatureManifest::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
