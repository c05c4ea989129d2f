//! A client of the API, for the command line.

mod error;
mod patience;
mod reply;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use crate::authorities;

pub use self::error::{ClientError, Refusal, SetupError};
pub use self::patience::{Patience, Pauses};
pub use self::reply::Reply;

/// Where Signet is, and who asks.
#[derive(Debug, Clone)]
pub struct Server {
    pub url: Url,
    /// Public keys need none.
    pub token: Option<SecretString>,
    /// The authorities to trust, PEM; without it those of this machine.
    pub ca_file: Option<PathBuf>,
    /// What is shown of the caller over TLS.
    pub certificate: Option<CertificateFiles>,
    /// Whether the token may travel over plain HTTP to another machine.
    pub allow_plain_http: bool,
}

/// A client's certificate, with what leads to its authority, and its private key. Both are PEM, and may be one file.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// One server and one caller, for one command.
///
/// What may pass (no connection, 429, 502, 503, 504) is tried again, with growing pauses and as `Retry-After`
/// asks, until the time of [`Patience`] is over. A request that signs carries one `Idempotency-Key` through all of
/// its attempts, so that none of them signs twice.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    authorization: Option<HeaderValue>,
    patience: Patience,
}

/// What goes out with a request beside its body.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
    /// Whether to be answered before the registry has the signature.
    pub respond_async: bool,
}

impl Client {
    /// No server is contacted. A TLS provider has to be installed for the process.
    ///
    /// # Errors
    /// Where something in `server` can not be used.
    pub fn new(server: &Server, patience: Patience) -> Result<Self, SetupError> {
        let url = base(server)?;
        Ok(Self {
            http: http_client(server, &url)?,
            authorization: server.token.as_ref().map(authorization).transpose()?,
            url,
            patience,
        })
    }

    /// # Errors
    /// Where the server refuses, or nobody can tell.
    pub async fn get(&self, path: &str) -> Result<Reply, ClientError> {
        self.send(|| self.request(Method::GET, path), Reply::read).await
    }

    /// What is no JSON, as it is kept: whoever hashes it needs each byte.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let get = || self.request(Method::GET, path).header(ACCEPT_ENCODING, "gzip");
        self.send(get, reply::bytes).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(&self, path: &str, body: Bytes, extras: &Extras) -> Result<Reply, ClientError> {
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(key) = extras.idempotency_key.as_deref().and_then(|key| key.parse().ok()) {
            headers.insert("idempotency-key", key);
        }
        if extras.respond_async {
            headers.insert("prefer", HeaderValue::from_static("respond-async"));
        }
        let post = || self.request(Method::POST, path).headers(headers.clone()).body(body.clone());
        self.send(post, Reply::read).await
    }

    pub const fn patience(&self) -> &Patience {
        &self.patience
    }

    /// `path` may have a query behind it.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_query(query);
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        let request = self.http.request(method, url);
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// The first answer that is final, or what was wrong with the last one.
    async fn send<T>(
        &self,
        request: impl Fn() -> RequestBuilder,
        read: impl AsyncFn(&Url, reqwest::Response) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut attempts = 0;
        loop {
            let error = match self.within(request(), &read).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            attempts += 1;
            let waited = error.may_pass() && self.patience.wait(attempts, error.retry_after(), &error).await;
            if !waited {
                return Err(error);
            }
        }
    }

    async fn within<T>(
        &self,
        request: RequestBuilder,
        read: impl AsyncFn(&Url, reqwest::Response) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let left = self.patience.left();
        let exchange = async {
            let response = request.send().await.map_err(|error| ClientError::of(&self.url, error))?;
            read(&self.url, response).await
        };
        tokio::time::timeout(left, exchange).await.map_err(|_| ClientError::no_answer(&self.url))?
    }
}

/// The URL that paths are put behind.
fn base(server: &Server) -> Result<Url, SetupError> {
    let url = &server.url;
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(SetupError::Url),
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(SetupError::Url);
    }
    match url.scheme() {
        "https" => Ok(url.clone()),
        "http" if local || server.allow_plain_http => Ok(url.clone()),
        "http" => Err(SetupError::PlainHttp),
        _ => Err(SetupError::Url),
    }
}

fn authorization(token: &SecretString) -> Result<HeaderValue, SetupError> {
    let token = token.expose_secret().trim();
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| SetupError::Token)?;
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(SetupError::Token);
    }
    value.set_sensitive(true);
    Ok(value)
}

fn http_client(server: &Server, url: &Url) -> Result<reqwest::Client, SetupError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
        // A redirect would take the token elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT);
    if url.scheme() == "http" {
        // The platform's roots need not be read, and this machine not be reached through a proxy.
        builder = builder.tls_certs_only(Vec::new()).no_proxy();
    } else if let Some(file) = &server.ca_file {
        builder = builder.tls_certs_only(authorities::of_file(file)?);
    }
    if let Some(files) = &server.certificate {
        if url.scheme() == "http" {
            return Err(SetupError::CertificateWithoutTls);
        }
        builder = builder.identity(identity(files)?);
    }
    builder.build().map_err(|error| SetupError::Tls(error.to_string()))
}

fn identity(files: &CertificateFiles) -> Result<reqwest::Identity, SetupError> {
    let problem =
        |file: &Path, reason: String| SetupError::Certificate { file: file.display().to_string(), reason };
    let read = |file: &Path| std::fs::read(file).map_err(|error| problem(file, error.to_string()));
    let mut pem = read(&files.key)?;
    pem.push(b'\n');
    pem.extend(read(&files.cert)?);
    let unusable = "it and the certificate are not one private key without a passphrase and a chain of certificates, in PEM";
    reqwest::Identity::from_pem(&pem).map_err(|_| problem(&files.key, unusable.to_owned()))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
