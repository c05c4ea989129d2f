//! `[http]`: where Signet listens.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;
use url::Url;

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
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            public_url: None,
            allow_plain_http: false,
        }
    }
}
