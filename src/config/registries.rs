//! `[[registries]]`: where images are, and how to be let in.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::duration;
use crate::domain::Format;

/// One registry. Images of registries that no such section names are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// The one form that [`crate::domain::RegistryHost`] has for it, however the file writes it:
    /// `registry.example.com` or `registry.example.com:5000`.
    pub host: String,
    #[serde(default)]
    pub plain_http: bool,
    /// PEM bundle of the authorities that may have signed the registry's certificate; with it, no others may.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<SecretString>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A Docker `config.json` with an entry in `auths` for this host.
    #[serde(default)]
    pub docker_config_file: Option<PathBuf>,
    /// Hosts besides the registry's own that may hand out its tokens, as `gitlab.example.com` does for its registry.
    #[serde(default)]
    pub token_hosts: Vec<String>,
    /// The layout of images that have none yet.
    #[serde(default = "RegistryConfig::default_format")]
    pub format: Format,
    #[serde(default)]
    pub referrers: ReferrersMode,
    #[serde(default)]
    pub allow_mixed_layouts: bool,
    /// Verifiers give up beyond about 100.
    #[serde(default = "RegistryConfig::default_max_signatures")]
    pub max_signatures_per_image: usize,
    /// For one call, with its answer.
    #[serde(default = "RegistryConfig::default_request_timeout", deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
}

/// Where to look for what refers to an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferrersMode {
    /// The referrers API, and the fallback tag where the registry says that it has no such API.
    #[default]
    Auto,
    /// The API alone: a registry without it can not have bundles.
    Api,
    /// The fallback tag alone.
    Tag,
}

impl RegistryConfig {
    const fn default_format() -> Format {
        Format::Cosign
    }

    const fn default_max_signatures() -> usize {
        100
    }

    const fn default_request_timeout() -> Duration {
        Duration::from_secs(15)
    }
}
