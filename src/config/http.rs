//! `[http]`: where Signet listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::duration;

/// The two listeners.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// The API.
    pub listen: SocketAddr,
    /// Health and metrics; nothing on it needs credentials, so keep it inside.
    pub admin_listen: SocketAddr,
    /// How callers reach the API, where that is not `listen`; it stands in the OpenAPI document.
    pub public_url: Option<Url>,
    /// Listening without TLS on another than a loopback address: for a proxy in front that does TLS.
    pub allow_plain_http: bool,
    /// For a TLS handshake, and for the head of a request from its first byte on.
    #[serde(deserialize_with = "duration::deserialize")]
    pub header_read_timeout: Duration,
    /// How long a connection may stay without a request, or without taking an answer.
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_timeout: Duration,
    /// Connections at once, for each of the two listeners.
    pub max_connections: usize,
    pub tls: Option<TlsConfig>,
}

/// `[http.tls]`: the API speaks TLS alone; so does the admin listener where it does not listen on loopback. The files are
/// PEM, and are read again when they change.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate, and behind it what leads to its authority.
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// The authorities whose clients may show certificates in place of tokens.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
}

impl HttpConfig {
    /// Whether health and metrics are behind TLS.
    pub fn admin_tls(&self) -> Option<&TlsConfig> {
        self.tls.as_ref().filter(|_| !is_loopback(self.admin_listen))
    }
}

impl TlsConfig {
    /// Each file with its key.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let client_ca = self.client_ca_file.as_ref().map(|file| ("client_ca_file", file));
        [("cert_file", &self.cert_file), ("key_file", &self.key_file)].into_iter().chain(client_ca)
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            public_url: None,
            allow_plain_http: false,
            header_read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_connections: 4096,
            tls: None,
        }
    }
}

/// Whether nobody but this machine reaches `address`.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
