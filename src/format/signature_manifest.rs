//! The manifest below cosign's tags `sha256-<hex>.sig` and `sha256-<hex>.att`: a layer for each signature.
//! <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::go_json;
use crate::domain::{Descriptor, Digest, KeyReference, Timestamp};

/// Media type of the manifest that the tag names.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

const CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const KEY_NAME_ANNOTATION: &str = "dev.signet.key/name";
const KEY_VERSION_ANNOTATION: &str = "dev.signet.key/version";
const KEY_FINGERPRINT_ANNOTATION: &str = "dev.signet.key/fingerprint";
const ZERO_DATE: &str = "0001-01-01T00:00:00Z";

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
    /// Bytes.
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
    /// A layer that says which key made its signature, so that an old one tells which public key to use.
    ///
    /// `signature` goes into the annotation that cosign demands of each layer, and finds a detached signature in.
    pub(super) fn new(content: Descriptor, signature: &[u8], key: &KeyReference) -> Self {
        Self {
            media_type: content.media_type,
            size: content.size,
            digest: content.digest,
            annotations: BTreeMap::from([
                (SIGNATURE_ANNOTATION.to_owned(), STANDARD.encode(signature)),
                (KEY_NAME_ANNOTATION.to_owned(), key.name.to_string()),
                (KEY_VERSION_ANNOTATION.to_owned(), key.version.to_string()),
                (KEY_FINGERPRINT_ANNOTATION.to_owned(), key.fingerprint.to_string()),
            ]),
            rest: Map::new(),
        }
    }

    pub(super) fn annotated(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Whether the two carry the same signature over the same content, whatever else is written beside it. What
    /// is said of the content counts too: a layer with another media type or size is none that verifiers take.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.media_type, self.size, self.digest) == (&other.media_type, other.size, other.digest)
            && self.signature().is_some()
            && self.signature() == other.signature()
    }

    /// The signature, where the layer has one that can be decoded.
    pub fn signature(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.annotations.get(SIGNATURE_ANNOTATION)?).ok()
    }

    /// The fingerprint of the key version that the layer says it was made with: a claim, until the signature was
    /// verified.
    pub fn key_fingerprint(&self) -> Option<&str> {
        self.annotations.get(KEY_FINGERPRINT_ANNOTATION).map(String::as_str)
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

    /// The manifest with `layer` behind what it has. Other layers stay as they are.
    ///
    /// `signed_at` becomes the date of the whole, so that a registry's clean-up by age sees how
    /// young the newest signature is.
    pub fn append(existing: Option<Self>, layer: Layer, signed_at: Timestamp) -> Appended {
        Self::replace(existing, layer, signed_at, |_| false)
    }

    /// As [`SignatureManifest::append`], without the layers that are `outdated`.
    pub fn replace(
        existing: Option<Self>,
        layer: Layer,
        signed_at: Timestamp,
        outdated: impl Fn(&Layer) -> bool,
    ) -> Appended {
        let mut manifest = existing.unwrap_or_else(|| Self {
            schema_version: 2,
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            config: Value::Null,
            layers: Vec::new(),
            rest: Map::new(),
        });
        manifest.layers.retain(|layer| !outdated(layer));
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
pub(super) mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.example";

    pub(crate) fn key() -> KeyReference {
        let key = crate::domain::PublicKey::from_pem(&crate::domain::test_key_pair().1).unwrap();
        KeyReference {
            name: "release".parse().unwrap(),
            version: crate::domain::KeyVersion::new(3).unwrap(),
            fingerprint: key.fingerprint(),
        }
    }

    fn layer(content: &[u8]) -> Layer {
        Layer::new(Descriptor::of(TYPE, content), b"signature", &key())
    }

    #[test]
    fn with_the_zero_date_the_configuration_has_the_digest_that_cosign_gives() {
        let digest = "sha256:3af4414d20c9e1cb76ccc72aae8b242166dabe6af531a4a790db8e2f0e5ee7c9";
        let mut layer = layer(b"");
        layer.digest = digest.parse().unwrap();
        let config = config(&[layer], ZERO_DATE.parse().unwrap());
        assert_eq!(config.len(), 233);
        assert_eq!(
            Digest::of(&config).to_string(),
            "sha256:6be03ee91610ddcd1b1c5b664bb2ef319a85b4ca9ebee1d64d87729c5fd83a91"
        );
    }

    fn foreign() -> Value {
        serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST_MEDIA_TYPE,
            "config": {"mediaType": CONFIG_MEDIA_TYPE, "size": 1, "digest": Digest::of(b"c")},
            "layers": [{
                "mediaType": TYPE, "size": 3, "digest": Digest::of(b"abc"),
                "annotations": {SIGNATURE_ANNOTATION: "AAAA", "x": "y"}, "urls": ["https://example.com"],
            }],
            "annotations": {"kept": "yes"}, "subject": {"size": 1},
        })
    }

    #[test]
    fn appending_keeps_what_others_wrote_even_what_is_not_understood() {
        let foreign = foreign();
        let existing = SignatureManifest::parse(foreign.to_string().as_bytes()).unwrap();
        let layer = layer(b"payload");
        let signed_at = "2026-01-02T03:04:05Z".parse().unwrap();
        let appended = SignatureManifest::append(Some(existing), layer.clone(), signed_at);

        let manifest: Value = serde_json::from_slice(&appended.manifest).unwrap();
        assert_eq!(manifest["layers"][0], foreign["layers"][0]);
        assert_eq!(manifest["annotations"], foreign["annotations"]);
        assert_eq!(manifest["subject"], foreign["subject"]);
        let parsed = SignatureManifest::parse(&appended.manifest).unwrap();
        assert_eq!(parsed.layers[1], layer);
        assert_eq!(parsed.layers[1].signature().as_deref(), Some(&b"signature"[..]));
        assert!(parsed.layers[1].key_fingerprint().is_some());
        assert_eq!(parsed.layers[0].key_fingerprint(), None);

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
    fn replacing_drops_what_is_outdated_and_keeps_the_rest() {
        let existing = SignatureManifest::parse(foreign().to_string().as_bytes()).unwrap();
        let signed_at = "2026-01-02T03:04:05Z".parse().unwrap();
        let old = SignatureManifest::append(Some(existing), layer(b"old"), signed_at);
        let old = SignatureManifest::parse(&old.manifest).unwrap();
        let outdated = |layer: &Layer| layer.key_fingerprint().is_some();
        let new = SignatureManifest::replace(Some(old), layer(b"new"), signed_at, outdated);
        let new = SignatureManifest::parse(&new.manifest).unwrap();
        let digests: Vec<_> = new.layers.iter().map(|layer| layer.digest).collect();
        assert_eq!(digests, [Digest::of(b"abc"), Digest::of(b"new")]);
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
