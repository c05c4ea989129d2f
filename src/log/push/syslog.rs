//! Syslog over TCP or TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Message, Refused, Sink};
use crate::config::PushConfig;
use crate::format::syslog;

/// A receiver of syslog. It has no words to say that it has read something: so each batch has a connection of its own, which
/// Signet ends, and the receiver has read everything when it ends it too. One that dies with unread messages resets the
/// connection instead, and over TLS says no farewell (RFC 5425, 4.4).
pub(super) struct Syslog {
    address: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
}

impl Syslog {
    /// # Errors
    /// Where the authorities' file or the host's name can not be used.
    pub(super) fn new(config: &PushConfig) -> Result<Self, String> {
        let address = config.address.clone().unwrap_or_default();
        let tls = match config.tls {
            false => None,
            true => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).map_err(|error| format!("address: {error}"))?;
                Some((TlsConnector::from(Arc::new(client(config.ca_file.as_deref())?)), name))
            }
        };
        Ok(Self { address, tls, timeout: config.timeout })
    }

    async fn deliver(&self, bytes: &[u8]) -> std::io::Result<()> {
        let stream = TcpStream::connect(&self.address).await?;
        match &self.tls {
            None => finish(stream, bytes).await,
            Some((connector, name)) => finish(connector.connect(name.clone(), stream).await?, bytes).await,
        }
    }
}

#[async_trait]
impl Sink for Syslog {
    async fn send(&self, messages: &[Message]) -> Result<(), Refused> {
        let frames: Vec<_> =
            messages.iter().flat_map(|message| syslog::frame(&message.entry, &message.text)).collect();
        match tokio::time::timeout(self.timeout, self.deliver(&frames)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Refused::new(format!("{}: {error}", self.address))),
            Err(_) => Err(Refused::new(format!(
                "{} did not take the messages and close the connection within {:?}",
                self.address, self.timeout
            ))),
        }
    }
}

/// Writes everything, says that this is the end, and waits until the other side says so too.
async fn finish(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 1024];
    loop {
        match stream.read(&mut ignored).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Also where TCP ends without the farewell of TLS: then the receiver may have died with what it had decrypted.
            Err(error) => return Err(error),
        }
    }
}

fn client(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let Some(path) = ca_file else {
        let builder = builder.with_platform_verifier().map_err(|error| error.to_string())?;
        return Ok(builder.with_no_client_auth());
    };
    let failed = |reason: String| format!("ca_file: {}: {reason}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it has no certificates".to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
