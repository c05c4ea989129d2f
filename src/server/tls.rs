//! What the listeners show over TLS, and whose clients they let in; read again when the files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::TlsConfig;
use crate::domain::{Clock, Timestamp};
use crate::metrics::Metrics;

/// The certificates of `[http.tls]`. What is in force was valid when it was read, and its key belongs to it.
pub struct Certificates {
    files: TlsConfig,
    in_force: ArcSwap<InForce>,
}

/// Which of the two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Clients may show certificates.
    Api,
    /// Nobody is asked for one.
    Admin,
}

/// A file of `[http.tls]` can not be used. Names the key, the file and what is wrong; never what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("http.tls.{key}: {path}: {reason}", path = .path.display())]
pub struct TlsError {
    key: &'static str,
    path: PathBuf,
    reason: String,
}

struct InForce {
    api: Arc<ServerConfig>,
    admin: Arc<ServerConfig>,
    expires: Timestamp,
    /// Of the files' contents.
    digest: [u8; 32],
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Where one of them can not be used at `now`, or where they do not fit each other.
    pub fn load(files: TlsConfig, now: Timestamp) -> Result<Self, TlsError> {
        let in_force = Contents::read(&files)?.check(&files, now)?;
        Ok(Self { files, in_force: ArcSwap::from_pointee(in_force) })
    }

    /// What a new connection is spoken to with.
    pub fn config(&self, door: Door) -> Arc<ServerConfig> {
        let in_force = self.in_force.load();
        match door {
            Door::Api => in_force.api.clone(),
            Door::Admin => in_force.admin.clone(),
        }
    }

    /// Looks at the files again and again until `stopped`, and takes what is new there for new connections. What can not be
    /// used is told once, and changes nothing.
    pub async fn reload_until(
        self: Arc<Self>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        stopped: CancellationToken,
    ) {
        metrics.certificate_in_force(self.in_force.load().expires.as_second());
        // Contents, not notifications: Kubernetes swaps a symbolic link far above the file.
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wrong = Wrong::default();
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                _ = looks.tick() => {}
            }
            let (certificates, now) = (self.clone(), clock.now());
            match tokio::task::spawn_blocking(move || certificates.look(now)).await {
                Ok(Ok(changed)) => {
                    let expires = self.in_force.load().expires;
                    wrong = Wrong::default();
                    metrics.certificate_in_force(expires.as_second());
                    if changed {
                        tracing::info!(%expires, "new certificates are in force");
                    }
                }
                Ok(Err(error)) if wrong.is_to_be_told(&error) => {
                    metrics.certificate_refused();
                    tracing::error!(%error, "the new certificates can not be used; those from before stay in force");
                }
                Ok(Err(_)) => {}
                Err(error) => tracing::error!(%error, "the certificates were not looked at"),
            }
        }
    }

    /// Whether there was something new.
    fn look(&self, now: Timestamp) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        if contents.digest() == self.in_force.load().digest {
            return Ok(false);
        }
        self.in_force.store(Arc::new(contents.check(&self.files, now)?));
        Ok(true)
    }
}

/// What the last looks found wrong.
#[derive(Default)]
struct Wrong(Option<(TlsError, Looks)>);

enum Looks {
    One,
    Told,
}

impl Wrong {
    /// True for what is still wrong at the second look: one file of a pair may be written a moment before the other.
    fn is_to_be_told(&mut self, error: &TlsError) -> bool {
        match &mut self.0 {
            Some((known, looks)) if known == error => {
                matches!(std::mem::replace(looks, Looks::Told), Looks::One)
            }
            other => {
                *other = Some((error.clone(), Looks::One));
                false
            }
        }
    }
}

/// The files as they were at one moment.
struct Contents {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        let read = |key, path: &Path| {
            let problem = |reason: String| TlsError { key, path: path.to_owned(), reason };
            let length = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?.len();
            if length > MAX_BYTES {
                return Err(problem("it has more than 1 MiB".to_owned()));
            }
            std::fs::read(path).map_err(|error| problem(error.to_string()))
        };
        Ok(Self {
            cert: read("cert_file", &files.cert_file)?,
            key: Zeroizing::new(read("key_file", &files.key_file)?),
            client_ca: files.client_ca_file.as_ref().map(|file| read("client_ca_file", file)).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for content in [Some(&self.cert), Some(&*self.key), self.client_ca.as_ref()].into_iter().flatten() {
            digest.update((content.len() as u64).to_be_bytes());
            digest.update(content);
        }
        digest.finalize().into()
    }

    fn check(&self, files: &TlsConfig, now: Timestamp) -> Result<InForce, TlsError> {
        let in_cert = |reason| TlsError { key: "cert_file", path: files.cert_file.clone(), reason };
        let in_key = |reason| TlsError { key: "key_file", path: files.key_file.clone(), reason };
        let chain = certificates(&self.cert).map_err(in_cert)?;
        let expires = expiry(&chain, now).map_err(in_cert)?;
        let key = private_key(&self.key).map_err(in_key)?;
        let provider = Arc::new(default_provider());
        let clients = match (&self.client_ca, &files.client_ca_file) {
            (Some(pem), Some(path)) => {
                let problem = |reason| TlsError { key: "client_ca_file", path: path.clone(), reason };
                Some(client_verifier(pem, &provider).map_err(problem)?)
            }
            _ => None,
        };
        let config = |clients: Option<Arc<dyn ClientCertVerifier>>| {
            let versions = ServerConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .map_err(|error| in_key(error.to_string()))?;
            let builder = match clients {
                Some(clients) => versions.with_client_cert_verifier(clients),
                None => versions.with_no_client_auth(),
            };
            let mut config =
                builder.with_single_cert(chain.clone(), key.clone_key()).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        in_key("this is not the key of the certificate in cert_file".to_owned())
                    }
                    rustls::Error::InvalidCertificate(_) => in_cert(format!("it can not be used: {error}")),
                    error => in_key(format!("it can not be used: {error}")),
                })?;
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(Arc::new(config))
        };
        Ok(InForce { api: config(clients)?, admin: config(None)?, expires, digest: self.digest() })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| format!("this is no PEM: {error}"))?;
    if chain.is_empty() {
        return Err(
            "it has no certificate in PEM: nothing begins with -----BEGIN CERTIFICATE-----".to_owned()
        );
    }
    Ok(chain)
}

/// When the first of `chain`, the server's own, expires.
fn expiry(chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Timestamp, String> {
    let no_certificate = || "its first certificate can not be read".to_owned();
    let leaf = chain.first().ok_or_else(no_certificate)?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| no_certificate())?;
    let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp());
    let (Ok(from), Ok(to)) = (time(leaf.validity().not_before), time(leaf.validity().not_after)) else {
        return Err(no_certificate());
    };
    if to <= now {
        return Err(format!("the certificate expired at {to}"));
    }
    if now < from {
        return Err(format!("the certificate is valid from {from} on, and now it is {now}"));
    }
    Ok(to)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let text = String::from_utf8_lossy(pem);
    // Of PKCS #8, and of the older form. Base64 has neither blanks nor commas.
    if text.contains("BEGIN ENCRYPTED ") || text.contains(",ENCRYPTED") {
        return Err("it is encrypted: write the key without a passphrase, readable by Signet alone \
                    (openssl pkey -in key.pem -out plain.pem)"
            .to_owned());
    }
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "it has no private key in PEM: PKCS #8, PKCS #1 or SEC 1".to_owned())
}

fn client_verifier(
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem)? {
        roots.add(authority).map_err(|error| format!("one of its certificates can not be used: {error}"))?;
    }
    // Whoever shows a token needs no certificate.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| error.to_string())
}

const LOOK_AGAIN: Duration = Duration::from_secs(2);
const MAX_BYTES: u64 = 1024 * 1024;
