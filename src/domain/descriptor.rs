//! What a registry says of a piece of content.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Content, Digest};

/// An OCI content descriptor, with the fields that signing needs.
/// <https://github.com/opencontainers/image-spec/blob/main/descriptor.md>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    pub digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The descriptor of `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self::new(media_type, content.len(), Digest::of(content))
    }

    /// The descriptor of `content`, which may be large and in pieces.
    pub fn of_content(media_type: &str, content: &Content) -> Self {
        Self::new(media_type, content.len(), content.digest())
    }

    fn new(media_type: &str, len: usize, digest: Digest) -> Self {
        Self {
            media_type: media_type.to_owned(),
            size: len as u64,
            digest,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}
