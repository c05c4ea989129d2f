//! Syslog over TCP or TLS.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Message, Refused, Sink};
use crate::authorities::tls_client;
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
                let client = tls_client(config.ca_file.as_deref());
                let client = client.map_err(|reason| format!("ca_file: {reason}"))?;
                Some((TlsConnector::from(Arc::new(client)), name))
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
