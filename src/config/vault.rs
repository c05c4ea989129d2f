//! `[vault]`: where the keys are, and how to be let in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::duration;

/// One Vault, or OpenBao.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultConfig {
    /// `https://vault.example.com:8200`: one node, or what stands in front of several.
    pub address: Url,
    /// The other nodes of the same cluster, as their `api_addr` has them. A standby's redirect is
    /// followed to `address` and to these alone, because the token goes with it.
    #[serde(default)]
    pub node_addresses: Vec<Url>,
    #[serde(default)]
    pub namespace: Option<String>,
    /// Path of the transit engine.
    #[serde(default = "VaultConfig::default_mount")]
    pub mount: String,
    /// PEM bundle of the authorities that may have signed Vault's certificate; with it, no others may.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// For one call, with its answer.
    #[serde(default = "VaultConfig::default_request_timeout", deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    /// How often each key is read again: a rotation is noticed at the latest after this time.
    #[serde(default = "VaultConfig::default_key_poll", deserialize_with = "duration::deserialize")]
    pub key_poll: Duration,
    pub auth: VaultAuthConfig,
    #[serde(default)]
    pub batch: BatchConfig,
}

/// `[vault.auth]`: one method, and the keys that it uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultAuthConfig {
    pub method: AuthMethod,
    #[serde(default)]
    pub token: Option<SecretString>,
    /// Read again when it changes, as the Vault Agent writes it.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Path of the auth method; see [`VaultAuthConfig::mount`].
    #[serde(default)]
    pub mount: Option<String>,
    /// The role to log in to: of `kubernetes`, `jwt` and `cert`.
    #[serde(default)]
    pub role: Option<String>,
    #[serde(default)]
    pub role_id: Option<SecretString>,
    #[serde(default)]
    pub role_id_file: Option<PathBuf>,
    #[serde(default)]
    pub secret_id: Option<SecretString>,
    #[serde(default)]
    pub secret_id_file: Option<PathBuf>,
    /// What `secret_id_file` holds is a response-wrapping token, from which the secret id is taken once.
    #[serde(default)]
    pub wrapped: Option<bool>,
    /// Read again at each login. See [`VaultAuthConfig::jwt_file`].
    #[serde(default)]
    pub jwt_file: Option<PathBuf>,
    /// PEM: the client's certificate, with what leads to its authority. Read again at each login.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// PEM: its private key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMethod {
    Token,
    AppRole,
    Kubernetes,
    Jwt,
    Cert,
}

/// `[vault.batch]`: how many signatures share one call. What waits goes with the next call; nobody waits on a timer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Signatures in one call. OpenBao takes at most about 245 in its default configuration, Vault 10,000.
    pub max_items: usize,
    /// Bytes of one call's body, roughly.
    pub max_bytes: usize,
    /// Groups of signatures under way at once for one key version, from the intent until the outcome. Beside one that is under way,
    /// another leaves once it is worth a call.
    pub max_in_flight: usize,
}

impl VaultConfig {
    fn default_mount() -> String {
        "transit".to_owned()
    }

    const fn default_request_timeout() -> Duration {
        Duration::from_secs(10)
    }

    const fn default_key_poll() -> Duration {
        Duration::from_secs(5)
    }
}

impl VaultAuthConfig {
    /// Where Kubernetes puts the token of a pod's service account.
    pub const KUBERNETES_JWT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

    /// `method`, and nothing of what it needs.
    pub const fn new(method: AuthMethod) -> Self {
        Self {
            method,
            token: None,
            token_file: None,
            mount: None,
            role: None,
            role_id: None,
            role_id_file: None,
            secret_id: None,
            secret_id_file: None,
            wrapped: None,
            jwt_file: None,
            cert_file: None,
            key_file: None,
        }
    }

    /// Where the auth method is mounted: where Vault puts it, unless the configuration says otherwise.
    pub fn mount(&self) -> &str {
        self.mount.as_deref().unwrap_or(self.method.name())
    }

    /// The file of the token that `kubernetes` and `jwt` show; only the former has a place for it by default.
    pub fn jwt_file(&self) -> Option<PathBuf> {
        let by_default = (self.method == AuthMethod::Kubernetes).then(|| PathBuf::from(Self::KUBERNETES_JWT));
        self.jwt_file.clone().or(by_default)
    }

    /// The files that it names, each with its key.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [
            ("token_file", &self.token_file),
            ("role_id_file", &self.role_id_file),
            ("secret_id_file", &self.secret_id_file),
            ("jwt_file", &self.jwt_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ];
        files.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?)))
    }
}

impl AuthMethod {
    /// As the configuration has it, and as Vault calls the default mount.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::AppRole => "approle",
            Self::Kubernetes => "kubernetes",
            Self::Jwt => "jwt",
            Self::Cert => "cert",
        }
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { max_items: 240, max_bytes: 1024 * 1024, max_in_flight: 3 }
    }
}
