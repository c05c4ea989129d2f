//! The configuration: one file per section, TOML, and `SIGNET__SECTION__KEY` from the environment.
//!
//! A value of [`Config`] has been checked as a whole: every key is known, every combination makes sense.

mod anchor;
mod archive;
mod attach;
mod audit;
mod digest;
mod duration;
mod environment;
mod http;
mod identity;
mod keys;
mod limits;
mod load;
mod log;
mod paths;
mod policy;
mod push;
mod registries;
mod secret;
mod telemetry;
#[cfg(test)]
mod tests;
mod validate;
mod vault;

use serde::Deserialize;

pub use anchor::{AnchorConfig, AnchorKind};
pub use archive::ArchiveConfig;
pub use attach::AttachConfig;
pub use audit::{AuditConfig, LoginConfig};
pub use digest::ConfigDigest;
pub use http::{HttpConfig, TlsConfig};
pub(crate) use identity::is_trustworthy;
pub use identity::{
    Audience, IdentityConfig, IssuerConfig, Platform, TokenAlgorithm, TokenConfig, TokenDigest,
};
pub use keys::{KeyConfig, Purpose};
pub use limits::LimitsConfig;
pub use load::{ConfigError, load, load_str};
pub use log::{LogBackend, LogConfig, Verifications};
pub use policy::PolicyConfig;
pub use push::{PushConfig, PushFormat, PushKind};
pub use registries::{ReferrersMode, RegistryConfig};
pub use secret::{Secret, SecretError};
pub use telemetry::{LogFormat, TelemetryConfig};
pub use vault::{AuthMethod, BatchConfig, VaultAuthConfig, VaultConfig};

/// Everything that an operator decides.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub http: HttpConfig,
    pub vault: VaultConfig,
    pub keys: Vec<KeyConfig>,
    pub registries: Vec<RegistryConfig>,
    pub identity: IdentityConfig,
    pub policy: PolicyConfig,
    pub log: LogConfig,
    #[serde(default)]
    pub limits: LimitsConfig,
    #[serde(default)]
    pub attach: AttachConfig,
    #[serde(default)]
    pub audit: AuditConfig,
    #[serde(default)]
    pub telemetry: TelemetryConfig,
}
