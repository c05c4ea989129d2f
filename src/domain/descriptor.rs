//! What a registry says of a piece of content.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Digest;

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
        Self {
            media_type: media_type.to_owned(),
            size: content.len() as u64,
            digest: Digest::of(content),
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}
