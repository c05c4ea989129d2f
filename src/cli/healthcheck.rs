//! `signet healthcheck`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Failure;
use crate::authorities;
use crate::config;
use crate::server::install_crypto;

/// Ask a running Signet on this machine whether it is ready, for images without a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  signet healthcheck --config /etc/signet/signet.toml
  signet healthcheck --live --config /etc/signet/signet.toml    alive, also while Vault is down")]
pub struct Healthcheck {
    /// The configuration that the service runs with
    #[arg(long, env = "SIGNET_CONFIG")]
    config: PathBuf,
    /// Where health is behind TLS, trust these authorities (PEM) alone
    #[arg(long, env = "SIGNET_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Ask only whether the process answers
    #[arg(long)]
    live: bool,
}

impl Healthcheck {
    pub async fn run(self) -> Result<(), Failure> {
        let config = config::load(&self.config).map_err(Failure::usage)?;
        install_crypto();
        let path = if self.live { "livez" } else { "readyz" };
        let address = reachable(config.http.admin_listen);
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let (url, client) = match config.http.admin_tls() {
            // No certificates are needed for plain HTTP to this machine.
            None => (format!("http://{address}/{path}"), client.tls_certs_only(Vec::new())),
            Some(_) => {
                // The certificate is for the name that callers know, wherever that leads.
                let name = config.http.public_url.as_ref().and_then(url::Url::domain);
                let host = name.map_or_else(|| address.ip().to_string(), ToOwned::to_owned);
                let client = match name {
                    Some(name) => client.resolve(name, address),
                    None => client,
                };
                let client = match &self.ca_file {
                    Some(file) => client.tls_certs_only(authorities::of_file(file).map_err(Failure::usage)?),
                    None => client,
                };
                (format!("https://{}/{path}", authority(&host, address.port())), client)
            }
        };
        let client = client.build().map_err(Failure::could_not_tell)?;
        let response = client.get(&url).send().await.map_err(Failure::could_not_tell)?;
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        println!("{}", body.trim());
        if status.is_success() { Ok(()) } else { Err(Failure::refused(format!("{url} answered {status}"))) }
    }
}

/// `host:port`, as URLs have it.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// An address that listens everywhere is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
