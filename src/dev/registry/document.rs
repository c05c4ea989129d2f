//! What the registry has to know of a manifest: its kind, what it refers to, and how it describes itself to its subject.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::Error;
use super::names::Digest;

/// The media type of an [image index], also of every answer of the referrers API.
///
/// [image index]: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

const IMAGE_MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const INDEXES: [&str; 2] = [INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"];

/// A manifest that passed the checks that need nothing but the manifest.
pub(super) struct Document {
    pub(super) media_type: String,
    /// Blobs that the repository has to have.
    pub(super) blobs: Vec<Digest>,
    /// Manifests that the repository has to have.
    pub(super) manifests: Vec<Digest>,
    /// What it is attached to; need not exist.
    pub(super) subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: Option<Map<String, Value>>,
}

/// An entry of the answer of the [referrers API].
///
/// [referrers API]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<Map<String, Value>>,
}

impl Document {
    /// Reads `bytes`, pushed with `content_type` if the client gave one. Image manifests and indexes of OCI and Docker are
    /// known, other types are refused.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestInvalid`], or [`Error::DigestInvalid`] for a digest in it that is none.
    pub(super) fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, Error> {
        let content: Content =
            serde_json::from_slice(bytes).map_err(|error| Error::ManifestInvalid(error.to_string()))?;
        if content.schema_version != 2 {
            return Err(invalid("schemaVersion is not 2"));
        }
        let media_type = match (content_type, content.media_type) {
            (Some(header), Some(field)) if header != field => {
                return Err(invalid("mediaType differs from Content-Type"));
            }
            (Some(header), _) => header.to_owned(),
            (None, Some(field)) => field,
            (None, None) => return Err(invalid("neither Content-Type nor mediaType")),
        };
        let mut document = Self {
            media_type,
            blobs: Vec::new(),
            manifests: Vec::new(),
            subject: digest_of(content.subject.as_ref())?,
            artifact_type: content.artifact_type,
            annotations: content.annotations,
        };
        if IMAGE_MANIFESTS.contains(&document.media_type.as_str()) {
            let config = content.config.ok_or_else(|| invalid("config is missing"))?;
            let layers = content.layers.ok_or_else(|| invalid("layers is missing"))?;
            for blob in std::iter::once(&config).chain(&layers) {
                if blob.urls.is_empty() {
                    document.blobs.push(Digest::parse(&blob.digest)?);
                }
            }
            document.artifact_type = document.artifact_type.or(config.media_type);
        } else if INDEXES.contains(&document.media_type.as_str()) {
            let children = content.manifests.ok_or_else(|| invalid("manifests is missing"))?;
            for child in &children {
                document.manifests.push(Digest::parse(&child.digest)?);
            }
        } else {
            return Err(invalid("the media type is none of an image manifest or index"));
        }
        Ok(document)
    }

    /// How the manifest is listed at its subject.
    pub(super) fn descriptor(&self, digest: &Digest, size: usize) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: digest.to_string(),
            size,
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

fn digest_of(reference: Option<&Reference>) -> Result<Option<Digest>, Error> {
    reference.map(|reference| Digest::parse(&reference.digest)).transpose()
}

fn invalid(reason: &str) -> Error {
    Error::ManifestInvalid(reason.to_owned())
}

/// The fields of an image manifest and of an index that matter here; what else there is, is kept in the bytes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Reference>,
    layers: Option<Vec<Reference>>,
    manifests: Option<Vec<Reference>>,
    subject: Option<Reference>,
    annotations: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    digest: String,
    media_type: Option<String>,
    /// Where content that registries must not hold is to be had; such a layer need not be here.
    #[serde(default)]
    urls: Vec<String>,
}
